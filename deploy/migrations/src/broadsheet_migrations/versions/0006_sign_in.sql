-- How people come in again who have lost their password.

-- One row a user: a later link takes the place of an earlier one. The token is kept as its SHA-256 alone.
CREATE TABLE gateway.password_reset (
    user_id bigint PRIMARY KEY REFERENCES gateway.user_account (id) ON DELETE CASCADE,
    token_sha256 bytea NOT NULL UNIQUE CHECK (length(token_sha256) = 32),
    requested_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);

GRANT SELECT, INSERT, UPDATE, DELETE ON gateway.password_reset TO broadsheet_gateway;
