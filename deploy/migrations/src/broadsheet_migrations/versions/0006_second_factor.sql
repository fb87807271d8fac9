-- The second factor: codes of an authenticator (TOTP), recovery codes, and who must have one.

-- A row is a second factor in force. The secret is sealed with a key that is not in the database. A code is good once:
-- last_step is the time step (30 s since 1970) of the last one that was accepted.
CREATE TABLE gateway.second_factor (
    user_id bigint PRIMARY KEY REFERENCES gateway.user_account (id) ON DELETE CASCADE,
    sealed_secret text NOT NULL CHECK (length(sealed_secret) BETWEEN 1 AND 500),
    last_step bigint NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now()
);

-- A set-up that has begun, and counts for nothing until a code was right. A later one takes its place.
CREATE TABLE gateway.second_factor_setup (
    user_id bigint PRIMARY KEY REFERENCES gateway.user_account (id) ON DELETE CASCADE,
    sealed_secret text NOT NULL CHECK (length(sealed_secret) BETWEEN 1 AND 500),
    begun_at timestamptz NOT NULL
);

-- Codes that were tried for a user since counted_from, on every replica and from every source.
CREATE TABLE gateway.second_factor_tries (
    user_id bigint PRIMARY KEY REFERENCES gateway.user_account (id) ON DELETE CASCADE,
    tries integer NOT NULL CHECK (tries > 0),
    counted_from timestamptz NOT NULL
);

-- Kept as SHA-256 alone: a code holds 120 random bits.
CREATE TABLE gateway.recovery_code (
    user_id bigint NOT NULL REFERENCES gateway.user_account (id) ON DELETE CASCADE,
    code_sha256 bytea NOT NULL CHECK (length(code_sha256) = 32),
    used_at timestamptz,
    PRIMARY KEY (user_id, code_sha256)
);

-- Whoever has a role for the newsletter needs a second factor; NULL: everybody does. Newsletters belong to publishing,
-- and are archived, never deleted.
CREATE TABLE gateway.second_factor_requirement (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    newsletter_id bigint CHECK (newsletter_id > 0),
    UNIQUE NULLS NOT DISTINCT (newsletter_id)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON gateway.second_factor, gateway.second_factor_setup,
    gateway.second_factor_tries, gateway.recovery_code, gateway.second_factor_requirement TO broadsheet_gateway;
