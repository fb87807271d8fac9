-- Users who may sign in by an OpenID Connect provider.

-- The account at the provider is issuer and subject, never an address. A user has one account at a provider.
CREATE TABLE gateway.provider_link (
    issuer text COLLATE "C" NOT NULL CHECK (length(issuer) BETWEEN 1 AND 2000),
    subject text COLLATE "C" NOT NULL CHECK (length(subject) BETWEEN 1 AND 255),
    user_id bigint NOT NULL REFERENCES gateway.user_account (id) ON DELETE CASCADE,
    -- The roles that groups there gave at the last sign-in, as user_role has them too: such as 'owner', or 'editor:3'.
    mapped_roles text[] NOT NULL DEFAULT '{}' CHECK (
        array_to_string(mapped_roles, ' ', '') ~ '^((owner|editor|publisher|analyst|support)(:[1-9][0-9]{0,18})?( |$))*$'
    ),
    linked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (issuer, subject),
    UNIQUE (user_id, issuer)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON gateway.provider_link TO broadsheet_gateway;
