-- The audit log: who did what, when and from where. Services add entries through one function, in the transaction of the
-- change. Committed entries are then numbered without gaps and chained by hash, so that writers never wait for each
-- other, and the role of a service can neither change an entry nor make up a chain.

CREATE SCHEMA audit;
GRANT USAGE ON SCHEMA audit
   TO broadsheet_subscriptions, broadsheet_publishing, broadsheet_delivery, broadsheet_gateway;

-- Entries that are not chained yet: seconds old at most.
CREATE TABLE audit.waiting (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Whose role has written it, as the server knows it.
    service text NOT NULL CHECK (service ~ '^[a-z_]{1,63}$'),
    action text NOT NULL CHECK (action ~ '^[a-z_]{1,40}\.[a-z_]{1,40}$'),
    -- `user:<id>`, `key:<id>`, or what acts by itself.
    actor text NOT NULL CHECK (actor ~ '^[a-z]{1,20}(:[0-9]{1,19})?$'),
    person text NOT NULL CHECK (person ~ '^[a-z]{1,20}(:[0-9]{1,19})?$'),
    -- The network address of the request.
    source text CHECK (source ~ '^[0-9a-fA-F.:/]{1,64}$'),
    target_kind text NOT NULL CHECK (target_kind ~ '^[a-z_]{1,40}$'),
    target_id text CHECK (target_id ~ '^[A-Za-z0-9_-]{1,64}$'),
    -- There is no foreign key: entries outlive what they tell of.
    newsletter_id bigint CHECK (newsletter_id > 0),
    -- Numbers, words of the code and names of fields: no address, no text that somebody wrote.
    before jsonb CHECK (jsonb_typeof(before) = 'object' AND length(before::text) <= 4000 AND before::text !~ '[@\n]'),
    after jsonb CHECK (jsonb_typeof(after) = 'object' AND length(after::text) <= 4000 AND after::text !~ '[@\n]'),
    trace_id text CHECK (trace_id ~ '^[0-9a-f]{32}$')
);

CREATE TABLE audit.entry (
    number bigint PRIMARY KEY CHECK (number > 0),
    at timestamptz NOT NULL,
    service text NOT NULL,
    action text NOT NULL,
    actor text NOT NULL,
    person text NOT NULL,
    source text,
    target_kind text NOT NULL,
    target_id text,
    newsletter_id bigint,
    before jsonb,
    after jsonb,
    trace_id text,
    previous_hash bytea NOT NULL CHECK (length(previous_hash) = 32),
    hash bytea NOT NULL CHECK (length(hash) = 32)
);
CREATE INDEX entry_by_time ON audit.entry (at);
CREATE INDEX entry_by_actor ON audit.entry (actor, number);
CREATE INDEX entry_by_person ON audit.entry (person, number);
CREATE INDEX entry_by_action ON audit.entry (action, number);
CREATE INDEX entry_by_target ON audit.entry (target_kind, target_id, number);

-- The chain's end: one row. Whoever cuts entries off the end must change it too.
CREATE TABLE audit.head (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    number bigint NOT NULL DEFAULT 0 CHECK (number >= 0),
    hash bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex') CHECK (length(hash) = 32)
);
INSERT INTO audit.head DEFAULT VALUES;

-- How far entries were passed on, for each place that they are streamed to. One process at a time holds the lease.
CREATE TABLE audit.stream (
    target text PRIMARY KEY CHECK (length(target) BETWEEN 1 AND 1000),
    number bigint NOT NULL DEFAULT 0 CHECK (number >= 0),
    lease text,
    leased_until timestamptz
);

CREATE FUNCTION audit.refuse_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.entry
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
-- Chaining takes them out.
CREATE TRIGGER refuse_change BEFORE UPDATE OR TRUNCATE ON audit.waiting
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER refuse_change BEFORE DELETE OR TRUNCATE ON audit.head
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();

CREATE FUNCTION audit.record(
    action text, actor text, person text, source text, target_kind text, target_id text, newsletter_id bigint,
    before jsonb, after jsonb, trace_id text
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO audit.waiting (service, action, actor, person, source, target_kind, target_id, newsletter_id, before, after, trace_id)
    -- session_user is who has logged in; current_user is the owner here.
    SELECT CASE WHEN session_user ~ '^broadsheet_[a-z]+$' THEN substr(session_user, 12) ELSE 'owner' END,
           action, actor, person, source, target_kind, target_id, newsletter_id, before, after, trace_id
$$;

-- Chains at most so many committed entries, in the order of their ids; answers how many. Those of transactions that are
-- open still follow later. hash = sha256(previous hash, then the lines below joined by line feeds); a field that is null
-- has no line. Whoever checks the chain makes the same text (gateway: audit/entry.py; docs/operating/audit.md).
CREATE FUNCTION audit.seal(entries_max integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    last audit.head;
    one audit.waiting;
    next_hash bytea;
    sealed integer := 0;
BEGIN
    SELECT * INTO last FROM audit.head FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0; -- another process is at it
    END IF;
    FOR one IN
        WITH taken AS (
            DELETE FROM audit.waiting
             WHERE id IN (SELECT id FROM audit.waiting ORDER BY id LIMIT entries_max)
            RETURNING *
        )
        SELECT * FROM taken ORDER BY id
    LOOP
        next_hash := sha256(last.hash || convert_to(concat_ws(E'\n',
            'number=' || (last.number + 1),
            'at=' || to_char(one.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'service=' || one.service,
            'action=' || one.action,
            'actor=' || one.actor,
            'person=' || one.person,
            'source=' || one.source,
            'target_kind=' || one.target_kind,
            'target_id=' || one.target_id,
            'newsletter_id=' || one.newsletter_id,
            'before=' || one.before::text,
            'after=' || one.after::text,
            'trace_id=' || one.trace_id
        ), 'UTF8'));
        INSERT INTO audit.entry (number, at, service, action, actor, person, source, target_kind, target_id,
                                 newsletter_id, before, after, trace_id, previous_hash, hash)
        VALUES (last.number + 1, one.at, one.service, one.action, one.actor, one.person, one.source, one.target_kind,
                one.target_id, one.newsletter_id, one.before, one.after, one.trace_id, last.hash, next_hash);
        last.number := last.number + 1;
        last.hash := next_hash;
        sealed := sealed + 1;
    END LOOP;
    IF sealed > 0 THEN
        UPDATE audit.head SET number = last.number, hash = last.hash;
    END IF;
    RETURN sealed;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA audit FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit.record
   TO broadsheet_subscriptions, broadsheet_publishing, broadsheet_delivery, broadsheet_gateway;
-- The gateway chains, shows and streams them.
GRANT EXECUTE ON FUNCTION audit.seal TO broadsheet_gateway;
GRANT SELECT ON audit.entry, audit.head TO broadsheet_gateway;
GRANT SELECT (id, at) ON audit.waiting TO broadsheet_gateway;
GRANT SELECT, INSERT, UPDATE ON audit.stream TO broadsheet_gateway;
