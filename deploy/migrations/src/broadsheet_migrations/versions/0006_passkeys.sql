-- Passkeys (WebAuthn): one row for each that a user has registered. A removed one is gone.

CREATE TABLE gateway.passkey (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES gateway.user_account (id) ON DELETE CASCADE,
    -- What the authenticator calls it.
    credential_id bytea NOT NULL UNIQUE CHECK (length(credential_id) BETWEEN 1 AND 1023),
    -- COSE, as the authenticator gave it.
    public_key bytea NOT NULL CHECK (length(public_key) BETWEEN 1 AND 4096),
    -- What the authenticator calls its user: random, the same for all passkeys of a user.
    user_handle bytea NOT NULL CHECK (length(user_handle) = 64),
    sign_count bigint NOT NULL CHECK (sign_count >= 0),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz
);
CREATE INDEX passkey_by_user ON gateway.passkey (user_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON gateway.passkey TO broadsheet_gateway;
