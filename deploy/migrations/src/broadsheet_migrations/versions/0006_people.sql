-- Users with roles, and keys that can be limited, rotated and watched.

ALTER TABLE gateway.user_account
    -- A person's name for lists and logs; the user name stays what one signs in with.
    ADD COLUMN name text NOT NULL DEFAULT '' CHECK (length(name) <= 200),
    ADD COLUMN email text CHECK (length(email) BETWEEN 3 AND 320),
    -- The address in one spelling: it belongs to one user. Given with every address.
    ADD COLUMN email_key text COLLATE "C",
    ADD COLUMN deactivated_at timestamptz,
    -- Sessions that began before have ended, whatever Redis keeps.
    ADD COLUMN sessions_end_before timestamptz;
-- squawk-ignore disallowed-unique-constraint, constraint-missing-not-valid -- an installation has some hundred users
ALTER TABLE gateway.user_account ADD CONSTRAINT user_account_email_key_key UNIQUE (email_key);
-- Someone who signs in with a passkey or through a provider has none.
-- squawk-ignore ban-drop-not-null -- a gateway of the version before refuses such a user
ALTER TABLE gateway.user_account ALTER COLUMN password_hash DROP NOT NULL;

-- Without a row a user may do nothing. NULL: for every newsletter, now and later. There is no foreign key: newsletters
-- belong to publishing, and are archived, never deleted.
CREATE TABLE gateway.user_role (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES gateway.user_account (id) ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('owner', 'editor', 'publisher', 'analyst', 'support')),
    newsletter_id bigint CHECK (newsletter_id > 0),
    granted_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (user_id, role, newsletter_id)
);
-- Whoever could sign in before could do everything.
INSERT INTO gateway.user_role (user_id, role) SELECT id, 'owner' FROM gateway.user_account;

ALTER TABLE gateway.api_key
    -- NULL: every newsletter of the key's user.
    ADD COLUMN newsletter_ids bigint[] CHECK (cardinality(newsletter_ids) BETWEEN 1 AND 100),
    -- After a rotation the secret before is good for a while.
    ADD COLUMN previous_sha256 bytea CHECK (length(previous_sha256) = 32),
    ADD COLUMN previous_expires_at timestamptz,
    ADD COLUMN rotated_at timestamptz;

-- What the three scopes of the versions before allowed. A gateway of these versions may still store them for a while;
-- the new one reads both.
UPDATE gateway.api_key SET scopes = ARRAY(
    SELECT DISTINCT new_name
      FROM unnest(scopes) AS old_name
      CROSS JOIN LATERAL unnest(CASE old_name
          WHEN 'read' THEN ARRAY[
              'newsletters:read', 'layouts:read', 'issues:read', 'issues:preview', 'deliveries:read', 'reports:read',
              'subscribers:read', 'subscribers:export', 'personal-data:export', 'consents:read', 'imports:read',
              'segments:read', 'attributes:read', 'suppressions:read', 'senders:read']
          WHEN 'write' THEN ARRAY[
              'newsletters:write', 'layouts:write', 'issues:write', 'issues:test', 'issues:publish', 'issues:approve',
              'deliveries:decide', 'subscribers:write', 'personal-data:erase', 'imports:write', 'segments:write',
              'attributes:write', 'suppressions:write']
          WHEN 'admin' THEN ARRAY[
              'senders:write', 'webhooks:read', 'webhooks:write', 'users:read', 'users:write', 'keys:read',
              'keys:write', 'audit:read']
          ELSE ARRAY[old_name] END) AS new_name
     ORDER BY new_name
) WHERE scopes && ARRAY['read', 'write', 'admin'];

-- When and from where a key was used: one row a day and network address.
CREATE TABLE gateway.api_key_use (
    key_id bigint NOT NULL REFERENCES gateway.api_key (id) ON DELETE CASCADE,
    day date NOT NULL,
    source text NOT NULL CHECK (length(source) BETWEEN 1 AND 64),
    requests bigint NOT NULL CHECK (requests > 0),
    last_at timestamptz NOT NULL,
    PRIMARY KEY (key_id, day, source)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON gateway.user_role, gateway.api_key_use TO broadsheet_gateway;
