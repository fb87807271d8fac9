-- People who are invited by mail.

-- One row an address: a later invitation takes the place of an earlier one. It goes when it is accepted or withdrawn; the
-- audit log keeps that it was there. The token is kept as its SHA-256 alone.
CREATE TABLE gateway.invitation (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL CHECK (length(email) BETWEEN 3 AND 320),
    -- The address in one spelling.
    email_key text COLLATE "C" NOT NULL UNIQUE,
    name text NOT NULL DEFAULT '' CHECK (length(name) <= 200),
    -- Such as 'owner', or 'editor:3' for one newsletter.
    roles text[] NOT NULL CHECK (
        cardinality(roles) BETWEEN 1 AND 100
        AND array_to_string(roles, ' ', '') ~ '^((owner|editor|publisher|analyst|support)(:[1-9][0-9]{0,18})?( |$))+$'
    ),
    -- Whoever sent it last: it is good only while they may let people in.
    invited_by bigint NOT NULL REFERENCES gateway.user_account (id) ON DELETE CASCADE,
    token_sha256 bytea NOT NULL UNIQUE CHECK (length(token_sha256) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON gateway.invitation TO broadsheet_gateway;
