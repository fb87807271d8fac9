-- Leaving: a subscriber's own pages, changes of address, erasure, suppressions of every stream and by rule.

-- A person's own pages --------------------------------------------------------------------------------------------

-- Short-lived links to a subscriber's preferences, mailed to the address on file. Only the hash is kept.
CREATE TABLE subscriptions.preferences_link (
    token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    -- NULL: the subscriber was erased since. A second press of the same button finds that it is done.
    subscriber_id bigint REFERENCES subscriptions.subscriber (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX preferences_link_by_subscriber ON subscriptions.preferences_link (subscriber_id, created_at);
CREATE INDEX preferences_link_expiry ON subscriptions.preferences_link (expires_at);

-- A confirmed change is kept as long as the subscriber: with it the consent given under the old address stays shown.
CREATE TABLE subscriptions.address_change (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscriber_id bigint NOT NULL REFERENCES subscriptions.subscriber (id) ON DELETE CASCADE,
    old_email text NOT NULL CHECK (length(old_email) <= 254),
    old_email_key text COLLATE "C" NOT NULL CHECK (length(old_email_key) <= 254),
    new_email text NOT NULL CHECK (length(new_email) <= 254),
    new_email_key text COLLATE "C" NOT NULL CHECK (length(new_email_key) <= 254),
    token_hash bytea NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    requested_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    confirmed_at timestamptz
);
CREATE INDEX address_change_by_subscriber ON subscriptions.address_change (subscriber_id, requested_at);
CREATE INDEX address_change_by_new_address ON subscriptions.address_change (new_email_key, requested_at);
CREATE INDEX address_change_expiry ON subscriptions.address_change (expires_at) WHERE confirmed_at IS NULL;

-- Append-only: that a subscriber was erased, and who asked for it. The number identifies nobody any more.
CREATE TABLE subscriptions.erasure (
    subscriber_id bigint PRIMARY KEY,
    requested_by text NOT NULL,
    erased_at timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT, INSERT, UPDATE, DELETE ON subscriptions.preferences_link, subscriptions.address_change
   TO broadsheet_subscriptions;
GRANT SELECT, INSERT ON subscriptions.erasure TO broadsheet_subscriptions;

-- Mails to a person about their own data --------------------------------------------------------------------------

-- squawk-ignore ban-drop-constraint -- a wider one follows
ALTER TABLE delivery.single_mail DROP CONSTRAINT single_mail_kind_check;
ALTER TABLE delivery.single_mail ADD CONSTRAINT single_mail_kind_check CHECK (kind IN (
    'confirmation', 'password_reset', 'test', 'newsletter', 'preferences_link', 'address_change', 'address_notice'
)) NOT VALID;
-- squawk-ignore require-concurrent-index-creation -- transactional mail of the last weeks; newsletters are not in it
CREATE INDEX single_mail_by_address ON delivery.single_mail (lower(to_email)) WHERE to_email IS NOT NULL;

CREATE OR REPLACE FUNCTION delivery.enqueue_single_mail(
    kind text, dedupe_key text, to_email text, subject text, html_body text, text_body text,
    expires_in interval, traceparent text
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF kind NOT IN ('confirmation', 'password_reset', 'test', 'preferences_link', 'address_change', 'address_notice') THEN
        RAISE EXCEPTION 'unknown kind of single mail: %', kind USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO delivery.single_mail (kind, dedupe_key, to_email, subject, html_body, text_body, expires_at, traceparent)
    VALUES (kind, dedupe_key, to_email, subject, html_body, text_body, now() + expires_in, traceparent)
    ON CONFLICT ON CONSTRAINT single_mail_dedupe_key_key DO NOTHING;
END
$$;

-- Suppressions ----------------------------------------------------------------------------------------------------

ALTER TABLE delivery.suppression
    -- A row with the stream '*' is an operator's suppression on every stream; the rows made from it carry this mark.
    ADD COLUMN all_streams boolean NOT NULL DEFAULT false;
-- squawk-ignore ban-drop-constraint -- a wider one follows
ALTER TABLE delivery.suppression DROP CONSTRAINT suppression_kind;
ALTER TABLE delivery.suppression ADD CONSTRAINT suppression_kind CHECK (
    kind IN ('inactive', 'manual', 'hard_bounce', 'soft_bounces', 'unsubscribe', 'complaint')
) NOT VALID;
-- squawk-ignore require-concurrent-index-creation -- written seldom
CREATE INDEX suppression_by_address ON delivery.suppression (email_key);
-- What the rule about repeated soft bounces counts.
-- squawk-ignore require-concurrent-index-creation -- empty at first: such events held no address before
CREATE INDEX provider_event_soft_bounces ON delivery.provider_event (email_key, message_stream, occurred_at)
    WHERE record_type = 'Bounce' AND email_key IS NOT NULL AND detail ->> 'type' IN ('SoftBounce', 'DnsError');

-- Erasure ---------------------------------------------------------------------------------------------------------

-- Addresses that were erased, as keyed hashes (HMAC-SHA256; the keys are in the services' settings). So a later report
-- about one is recognized, and a suppressed one is suppressed again when somebody enters it again.
CREATE TABLE delivery.erased_address (
    address_hash bytea PRIMARY KEY CHECK (length(address_hash) = 32),
    -- The id of the key: a key that no row names any more can be dropped from the settings.
    key_id text NOT NULL,
    erased_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX erased_address_by_age ON delivery.erased_address (erased_at);

-- As in `suppression`, by the hash.
CREATE TABLE delivery.erased_suppression (
    message_stream text NOT NULL,
    address_hash bytea NOT NULL REFERENCES delivery.erased_address (address_hash) ON DELETE CASCADE,
    kind text NOT NULL DEFAULT 'inactive',
    reason text NOT NULL,
    source text NOT NULL,
    origin text NOT NULL DEFAULT 'postmark',
    active boolean NOT NULL DEFAULT true,
    all_streams boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    -- Not NULL: Postmark was never told. It is told once somebody enters the address again.
    tell_run_at timestamptz,
    PRIMARY KEY (message_stream, address_hash)
);
CREATE INDEX erased_suppression_by_address ON delivery.erased_suppression (address_hash);

-- What is left to do for an erased subscriber. A row that is finished holds no address.
CREATE TABLE delivery.erasure (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscriber_id bigint NOT NULL,
    email_key text COLLATE "C",
    -- Rows with larger ids belong to somebody who signed up again.
    mails_up_to bigint NOT NULL,
    events_up_to bigint NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    run_at timestamptz NOT NULL DEFAULT now(),
    failure_count integer NOT NULL DEFAULT 0,
    finished_at timestamptz,
    CHECK ((finished_at IS NULL) = (email_key IS NOT NULL))
);
CREATE INDEX erasure_due ON delivery.erasure (run_at, id) WHERE finished_at IS NULL;
CREATE INDEX erasure_by_subscriber ON delivery.erasure (subscriber_id);

CREATE VIEW delivery.published_erasures AS
    SELECT subscriber_id, bool_and(finished_at IS NOT NULL) AS finished FROM delivery.erasure GROUP BY subscriber_id;

-- A transaction that is about to write an address (an event, a refusal by Postmark) takes this lock in share mode
-- before it checks whether the address was erased; an erasure takes it exclusively. So no address is written after it
-- was erased.
CREATE FUNCTION delivery.lock_addresses(exclusive boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF exclusive THEN
        PERFORM pg_advisory_xact_lock(7094700061930712435);
    ELSE
        PERFORM pg_advisory_xact_lock_shared(7094700061930712435);
    END IF;
END
$$;

-- Called in the transaction that erases a subscriber, for each of their addresses: its suppressions continue under the
-- hash from this commit on, and the rest is enqueued.
CREATE FUNCTION delivery.enqueue_erasure(
    for_subscriber_id bigint, for_email_key text, for_address_hash bytea, for_key_id text
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM delivery.lock_addresses(true);
    INSERT INTO delivery.erased_address AS known (address_hash, key_id) VALUES (for_address_hash, for_key_id)
    ON CONFLICT (address_hash) DO UPDATE SET erased_at = now();
    INSERT INTO delivery.erased_suppression
           (message_stream, address_hash, kind, reason, source, origin, active, all_streams, created_at, changed_at,
            tell_run_at)
    SELECT kept.message_stream, for_address_hash, kept.kind, 'Suppressed before the address was erased.', kept.source,
           kept.origin, kept.active, kept.all_streams, kept.created_at, kept.changed_at, kept.tell_run_at
      FROM delivery.suppression AS kept WHERE kept.email_key = for_email_key
    ON CONFLICT (message_stream, address_hash) DO UPDATE
       SET kind = excluded.kind, reason = excluded.reason, source = excluded.source, origin = excluded.origin,
           active = excluded.active, all_streams = excluded.all_streams, changed_at = excluded.changed_at,
           tell_run_at = excluded.tell_run_at;
    DELETE FROM delivery.suppression AS kept WHERE kept.email_key = for_email_key;
    INSERT INTO delivery.erasure (subscriber_id, email_key, mails_up_to, events_up_to)
    VALUES (for_subscriber_id, for_email_key,
            coalesce((SELECT max(id) FROM delivery.single_mail), 0),
            coalesce((SELECT max(id) FROM delivery.provider_event), 0));
END
$$;

-- Somebody enters these addresses (each once for each of its hashes): suppressions from before an erasure hold again.
-- Nearly always none was erased, and this is one look into an index.
CREATE FUNCTION delivery.enter_addresses(email_keys text[], address_hashes bytea[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM delivery.erased_address AS known WHERE known.address_hash = ANY (address_hashes)) THEN
        RETURN;
    END IF;
    PERFORM delivery.lock_addresses(true);
    INSERT INTO delivery.suppression AS kept
           (message_stream, email_key, kind, reason, source, origin, active, all_streams, created_at, changed_at,
            tell_run_at)
    SELECT DISTINCT ON (erased.message_stream, given.email_key)
           erased.message_stream, given.email_key, erased.kind, erased.reason, erased.source, erased.origin,
           erased.active, erased.all_streams, erased.created_at, erased.changed_at, erased.tell_run_at
      FROM unnest(email_keys, address_hashes) AS given (email_key, address_hash)
      JOIN delivery.erased_suppression AS erased ON erased.address_hash = given.address_hash
     ORDER BY erased.message_stream, given.email_key, (erased.kind = 'complaint') DESC, erased.changed_at DESC
    ON CONFLICT (message_stream, email_key) DO UPDATE
       SET kind = excluded.kind, reason = excluded.reason, source = excluded.source, origin = excluded.origin,
           active = excluded.active, all_streams = excluded.all_streams, changed_at = excluded.changed_at,
           tell_run_at = excluded.tell_run_at
     WHERE kept.kind <> 'complaint' AND (excluded.kind = 'complaint' OR excluded.changed_at > kept.changed_at);
    DELETE FROM delivery.erased_address AS known WHERE known.address_hash = ANY (address_hashes);
END
$$;

-- The rest of an erasure, as one transaction: no mail, event or reason names the subscriber any more. Mails that wait
-- are not sent. A mail whose call is under way keeps its row, because its outcome is still to come, but no personal
-- data in it. Numbers, outcomes and times stay, because the counts depend on them. Returns false when there is nothing
-- to do.
CREATE FUNCTION delivery.finish_erasure(for_erasure_id bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    asked delivery.erasure%ROWTYPE;
    address constant text := '[^[:space:]@''"<>(),]+@[^[:space:]@''"<>(),]+';
BEGIN
    SELECT * INTO asked FROM delivery.erasure AS waiting
     WHERE waiting.id = for_erasure_id AND waiting.finished_at IS NULL FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE delivery.single_mail AS mail
       SET to_email = '', subject = '', html_body = NULL, text_body = NULL,
           reason = CASE WHEN mail.settled_at IS NULL THEN 'The person was erased.'
                         ELSE regexp_replace(mail.reason, address, '[address]', 'g') END,
           status = CASE WHEN mail.status IN ('pending', 'leased') THEN 'excluded' ELSE mail.status END,
           settled_at = CASE WHEN mail.status IN ('pending', 'leased') THEN now() ELSE mail.settled_at END,
           lease_token = CASE WHEN mail.status = 'leased' THEN NULL ELSE mail.lease_token END,
           lease_until = CASE WHEN mail.status = 'leased' THEN NULL ELSE mail.lease_until END,
           -- One that turns out not to have gone out is not sent again.
           expires_at = CASE WHEN mail.settled_at IS NULL THEN now() ELSE mail.expires_at END
     WHERE lower(mail.to_email) = asked.email_key AND mail.id <= asked.mails_up_to;
    UPDATE delivery.provider_event AS event SET email_key = NULL
     WHERE event.email_key = asked.email_key AND event.id <= asked.events_up_to;
    WITH theirs AS MATERIALIZED (
        SELECT found.issue_id, found.seq FROM delivery.issue_run AS run
         CROSS JOIN LATERAL (
               SELECT one.issue_id, one.seq FROM delivery.delivery AS one
                WHERE one.issue_id = run.issue_id AND one.subscriber_id = asked.subscriber_id LIMIT 1
         ) AS found
    ), outcomes AS (
        UPDATE delivery.delivery_outcome AS said
           SET reason = regexp_replace(said.reason, address, '[address]', 'g')
          FROM theirs
         WHERE said.issue_id = theirs.issue_id AND said.seq = theirs.seq AND said.reason LIKE '%@%'
    ), earlier AS (
        UPDATE delivery.outcome_history AS said
           SET reason = regexp_replace(said.reason, address, '[address]', 'g')
          FROM theirs
         WHERE said.issue_id = theirs.issue_id AND said.seq = theirs.seq AND said.reason LIKE '%@%'
    )
    UPDATE delivery.single_mail AS said
       SET reason = regexp_replace(said.reason, address, '[address]', 'g')
      FROM theirs
     WHERE said.issue_id = theirs.issue_id AND said.seq = theirs.seq AND said.reason LIKE '%@%';
    -- Written since revision 0003 without addresses; older ones may name one.
    UPDATE delivery.send_attempt_end AS ended
       SET detail = regexp_replace(ended.detail, address, '[address]', 'g')
     WHERE position(asked.email_key IN lower(ended.detail)) > 0;
    UPDATE delivery.operator_action AS decided
       SET note = regexp_replace(decided.note, address, '[address]', 'g')
     WHERE position(asked.email_key IN lower(decided.note)) > 0;
    UPDATE delivery.erasure AS waiting SET email_key = NULL, finished_at = now() WHERE waiting.id = for_erasure_id;
    RETURN true;
END
$$;

-- All that this schema holds about a subscriber, by their number and the addresses they have or had. Bodies of mails
-- that wait are left out: they hold tokens. `truncated` names the lists that were cut at `rows_max`, newest first.
CREATE FUNCTION delivery.person_data(for_subscriber_id bigint, email_keys text[], rows_max integer) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found jsonb;
    truncated jsonb;
BEGIN
    WITH theirs AS MATERIALIZED (
        SELECT one.issue_id, one.seq, run.opened_at FROM delivery.issue_run AS run
         CROSS JOIN LATERAL (
               SELECT d.issue_id, d.seq FROM delivery.delivery AS d
                WHERE d.issue_id = run.issue_id AND d.subscriber_id = for_subscriber_id LIMIT 1
         ) AS one
         ORDER BY run.issue_id DESC LIMIT rows_max + 1
    ), mails AS MATERIALIZED (
        SELECT mail.* FROM delivery.single_mail AS mail
         WHERE lower(mail.to_email) = ANY (email_keys) ORDER BY mail.id DESC LIMIT rows_max + 1
    ), events AS MATERIALIZED (
        SELECT event.* FROM (
            SELECT heard.* FROM theirs
              JOIN delivery.provider_event AS heard
                ON heard.issue_id = theirs.issue_id AND heard.seq = theirs.seq
            UNION
            SELECT heard.* FROM delivery.provider_event AS heard WHERE heard.email_key = ANY (email_keys)
            UNION
            SELECT heard.* FROM mails JOIN delivery.provider_event AS heard ON heard.message_id = mails.message_id
        ) AS event ORDER BY event.id DESC LIMIT rows_max + 1
    ), engaged_issues AS MATERIALIZED (
        SELECT run.issue_id, kind.event FROM delivery.issue_run AS run
         CROSS JOIN (VALUES ('received'), ('opened'), ('clicked')) AS kind (event)
          JOIN delivery.issue_engagement AS kept
            ON kept.issue_id = run.issue_id AND kept.event = kind.event AND kept.block = for_subscriber_id / 8192
         WHERE get_bit(kept.members, (for_subscriber_id % 8192)::integer) = 1
         ORDER BY run.issue_id DESC, kind.event LIMIT rows_max + 1
    ), engaged_days AS MATERIALIZED (
        SELECT day.day::date AS day, kind.event FROM (VALUES ('received'), ('opened'), ('clicked')) AS kind (event)
         CROSS JOIN LATERAL generate_series(
               (SELECT min(one.day) FROM delivery.daily_engagement AS one WHERE one.event = kind.event),
               (SELECT max(one.day) FROM delivery.daily_engagement AS one WHERE one.event = kind.event),
               interval '1 day') AS day (day)
          JOIN delivery.daily_engagement AS kept
            ON kept.event = kind.event AND kept.day = day.day::date AND kept.block = for_subscriber_id / 8192
         WHERE get_bit(kept.members, (for_subscriber_id % 8192)::integer) = 1
         ORDER BY day.day DESC, kind.event LIMIT rows_max + 1
    ), lists AS (
        SELECT 'deliveries' AS name, (SELECT count(*) FROM theirs) AS size, (
                   SELECT jsonb_agg(jsonb_build_object(
                              'issue_id', theirs.issue_id, 'number', theirs.seq, 'issue_opened_at', theirs.opened_at,
                              'outcome', said.outcome, 'reason', said.reason, 'message_id', said.message_id,
                              'settled_at', said.settled_at,
                              'earlier_outcomes', (
                                  SELECT jsonb_agg(jsonb_build_object(
                                             'outcome', history.outcome, 'reason', history.reason,
                                             'settled_at', history.settled_at) ORDER BY history.id)
                                    FROM delivery.outcome_history AS history
                                   WHERE history.issue_id = theirs.issue_id AND history.seq = theirs.seq))
                          ORDER BY theirs.issue_id DESC)
                     FROM (SELECT * FROM theirs LIMIT rows_max) AS theirs
                     LEFT JOIN LATERAL (
                          SELECT one.* FROM delivery.delivery_outcome AS one
                           WHERE one.issue_id = theirs.issue_id AND one.seq = theirs.seq LIMIT 1
                     ) AS said ON true) AS items
        UNION ALL
        SELECT 'single_mails', (SELECT count(*) FROM mails), (
                   SELECT jsonb_agg(jsonb_build_object(
                              'kind', mails.kind, 'email', mails.to_email, 'subject', mails.subject,
                              'status', mails.status, 'reason', mails.reason, 'message_id', mails.message_id,
                              'created_at', mails.created_at, 'settled_at', mails.settled_at) ORDER BY mails.id DESC)
                     FROM (SELECT * FROM mails LIMIT rows_max) AS mails)
        UNION ALL
        SELECT 'provider_events', (SELECT count(*) FROM events), (
                   SELECT jsonb_agg(jsonb_build_object(
                              'type', events.record_type, 'message_stream', events.message_stream,
                              'message_id', events.message_id, 'issue_id', events.issue_id, 'email', events.email_key,
                              'occurred_at', events.occurred_at, 'received_at', events.received_at,
                              'detail', events.detail) ORDER BY events.id DESC)
                     FROM (SELECT * FROM events LIMIT rows_max) AS events)
        UNION ALL
        SELECT 'engagement_by_issue', (SELECT count(*) FROM engaged_issues), (
                   SELECT jsonb_agg(jsonb_build_object('issue_id', one.issue_id, 'event', one.event)
                                    ORDER BY one.issue_id DESC, one.event)
                     FROM (SELECT * FROM engaged_issues LIMIT rows_max) AS one)
        UNION ALL
        SELECT 'engagement_by_day', (SELECT count(*) FROM engaged_days), (
                   SELECT jsonb_agg(jsonb_build_object('day', one.day, 'event', one.event)
                                    ORDER BY one.day DESC, one.event)
                     FROM (SELECT * FROM engaged_days LIMIT rows_max) AS one)
        UNION ALL
        SELECT 'suppressions', 0, (
                   SELECT jsonb_agg(jsonb_build_object(
                              'email', kept.email_key, 'message_stream', kept.message_stream, 'kind', kept.kind,
                              'reason', kept.reason, 'origin', kept.origin, 'note', kept.note, 'active', kept.active,
                              'created_at', kept.created_at, 'changed_at', kept.changed_at) ORDER BY kept.id)
                     FROM delivery.suppression AS kept WHERE kept.email_key = ANY (email_keys))
    )
    SELECT jsonb_object_agg(lists.name, coalesce(lists.items, '[]')),
           coalesce(jsonb_agg(lists.name) FILTER (WHERE lists.size > rows_max), '[]')
      INTO found, truncated FROM lists;
    RETURN found || jsonb_build_object('truncated', truncated);
END
$$;

REVOKE ALL ON FUNCTION delivery.lock_addresses, delivery.enqueue_erasure, delivery.enter_addresses,
    delivery.finish_erasure, delivery.person_data FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delivery.enqueue_erasure, delivery.enter_addresses, delivery.person_data
   TO broadsheet_subscriptions;
GRANT EXECUTE ON FUNCTION delivery.lock_addresses, delivery.enter_addresses, delivery.finish_erasure
   TO broadsheet_delivery;
GRANT SELECT, INSERT, UPDATE, DELETE ON delivery.erased_address, delivery.erased_suppression, delivery.erasure
   TO broadsheet_delivery;
-- Whether enter_addresses can have anything to do: if not, the hashes of many addresses need not be computed.
CREATE VIEW delivery.published_erased_addresses AS
    SELECT EXISTS (SELECT FROM delivery.erased_address) AS are_there;
GRANT SELECT ON delivery.published_erased_addresses TO broadsheet_subscriptions;
GRANT SELECT ON delivery.published_erasures TO broadsheet_subscriptions, broadsheet_delivery;
