-- A user's new address, which both mailboxes confirm.

-- One row a user: a later change takes the place of an earlier one. Tokens are kept as their SHA-256 alone.
CREATE TABLE gateway.email_change (
    user_id bigint PRIMARY KEY REFERENCES gateway.user_account (id) ON DELETE CASCADE,
    new_email text NOT NULL CHECK (length(new_email) BETWEEN 3 AND 320),
    new_email_key text COLLATE "C" NOT NULL,
    -- The address when it was asked for: NULL if there was none. If it is another now, the change is void.
    old_email_key text COLLATE "C",
    old_token_sha256 bytea UNIQUE CHECK (length(old_token_sha256) = 32),
    new_token_sha256 bytea NOT NULL UNIQUE CHECK (length(new_token_sha256) = 32),
    requested_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    old_confirmed_at timestamptz,
    new_confirmed_at timestamptz,
    -- When it was made, or lost to another user.
    ended_at timestamptz,
    CHECK ((old_email_key IS NULL) = (old_token_sha256 IS NULL))
);
GRANT SELECT, INSERT, UPDATE, DELETE ON gateway.email_change TO broadsheet_gateway;
