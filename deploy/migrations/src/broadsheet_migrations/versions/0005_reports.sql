-- Reports of issues, rolled up from Postmark's events, and the growth of newsletters by day.

-- Issues --------------------------------------------------------------------------------------------------------

ALTER TABLE delivery.issue_run
    -- Whether mails of the issue were sent with tracking, as the messages themselves say: false means "not measured".
    ADD COLUMN tracks_opens boolean NOT NULL DEFAULT false,
    ADD COLUMN tracks_links boolean NOT NULL DEFAULT false;
-- A chunk belongs to one variant of its issue's content; 0: to the winner of its A/B test, who is not known yet.
ALTER TABLE delivery.delivery_chunk
    ADD COLUMN variant smallint NOT NULL DEFAULT 1
        CHECK (variant BETWEEN 0 AND 4 AND (variant > 0 OR status IN ('pending', 'done')));

-- Who left by the link in a mail of an issue: the delivery whose mail held the link. No address.
CREATE TABLE delivery.departure (
    issue_id bigint NOT NULL,
    seq integer NOT NULL,
    left_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (issue_id, seq)
);

-- What is not in the figures yet: an event by its id, or a departure by its delivery's number with a minus before it.
-- An event that has no row here is counted. Triggers and functions fill it in the transaction that stores the event, so
-- that nothing depends on which version of the service stored it.
CREATE TABLE delivery.report_queue (
    issue_id bigint NOT NULL,
    item bigint NOT NULL CHECK (item <> 0),
    PRIMARY KEY (issue_id, item)
);

-- One row: who has it locked rolls up, one step at a time over all replicas.
CREATE TABLE delivery.report_pace (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- No step begins before this moment: while mails are sent, the roll-up rests longer than it works.
    next_at timestamptz NOT NULL DEFAULT '-infinity',
    -- The issue that had the last turn.
    last_issue_id bigint NOT NULL DEFAULT 0,
    -- Events from before this table, from backfill_next_id to backfill_end_id: neither counted nor in the queue yet.
    backfill_next_id bigint NOT NULL,
    backfill_end_id bigint NOT NULL
);

-- How far the acceptances of an issue are in its figures (as engagement_pass), and when it was last looked at.
CREATE TABLE delivery.report_issue (
    issue_id bigint PRIMARY KEY REFERENCES delivery.issue_run (issue_id) ON DELETE CASCADE,
    rolled int4multirange NOT NULL DEFAULT '{}',
    pass_for timestamptz,
    next_seq integer NOT NULL DEFAULT 1,
    complete_for timestamptz,
    rolled_at timestamptz
);

-- 1,000 deliveries of an issue in the order of their numbers: domain and variant as they were when the block was made,
-- and which of them are in the figures as accepted. So a later change of address moves no figure.
CREATE TABLE delivery.report_block (
    issue_id bigint NOT NULL,
    block integer NOT NULL,
    -- Of report_domain; 0: another one, or not known.
    domains integer[] NOT NULL,
    variants smallint[] NOT NULL,
    accepted bit(1000) NOT NULL,
    PRIMARY KEY (issue_id, block),
    CHECK (cardinality(domains) BETWEEN 1 AND 1000 AND cardinality(variants) = cardinality(domains))
);
ALTER TABLE delivery.report_block ALTER COLUMN domains SET STORAGE PLAIN, ALTER COLUMN variants SET STORAGE PLAIN,
    ALTER COLUMN accepted SET STORAGE PLAIN;

-- The mail domains and the links that are told apart in an issue's figures; the service bounds their number.
CREATE TABLE delivery.report_domain (
    issue_id bigint NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    name text COLLATE "C" NOT NULL CHECK (length(name) <= 254),
    PRIMARY KEY (issue_id, number),
    UNIQUE (issue_id, name)
);
CREATE TABLE delivery.report_link (
    issue_id bigint NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    -- A link that stands in the issue for everybody, or one without its personal parts; or the name of one of our own.
    url text COLLATE "C" NOT NULL CHECK (length(url) <= 500),
    PRIMARY KEY (issue_id, number),
    UNIQUE (issue_id, url)
);

-- The figures: kept when deliveries and events were removed. `part` says what `key` is: a variant; a domain's or a
-- link's number (0: all others); the beginning of an hour or a day; a type of bounce.
CREATE TABLE delivery.report_figure (
    issue_id bigint NOT NULL,
    part text NOT NULL CHECK (part IN ('variant', 'domain', 'link', 'time', 'bounce_type')),
    figure text NOT NULL,
    key text COLLATE "C" NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (issue_id, part, figure, key)
);

CREATE FUNCTION delivery.enqueue_report_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO delivery.report_queue (issue_id, item)
    SELECT recorded.issue_id, recorded.id FROM recorded
     WHERE recorded.issue_id IS NOT NULL
       AND recorded.record_type IN ('Delivery', 'Bounce', 'SpamComplaint', 'Open', 'Click', 'SubscriptionChange');
    RETURN NULL;
END
$$;
-- Waits for transactions that are recording events, and lets none begin until the commit: so each event is either in
-- the queue or among those up to backfill_end_id.
CREATE TRIGGER provider_event_report AFTER INSERT ON delivery.provider_event
    REFERENCING NEW TABLE AS recorded FOR EACH STATEMENT EXECUTE FUNCTION delivery.enqueue_report_events();
INSERT INTO delivery.report_pace (backfill_next_id, backfill_end_id)
SELECT coalesce(min(id), 1), coalesce(max(id), 0) FROM delivery.provider_event;

-- Somebody left by a link that names this issue. Anybody may write another number into the link: it counts only if a
-- mail of the issue went, or may have gone, to this subscriber, and once.
CREATE FUNCTION delivery.enqueue_departure(for_issue_id bigint, for_subscriber_id bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    theirs integer;
BEGIN
    SELECT one.seq INTO theirs FROM delivery.delivery AS one
     WHERE one.issue_id = for_issue_id AND one.subscriber_id = for_subscriber_id
       AND NOT EXISTS (SELECT FROM delivery.delivery_outcome AS said
                        WHERE said.issue_id = one.issue_id AND said.seq = one.seq AND said.outcome <> 'accepted');
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO delivery.departure (issue_id, seq) VALUES (for_issue_id, theirs) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO delivery.report_queue (issue_id, item) VALUES (for_issue_id, -theirs);
    RETURN true;
END
$$;

-- As in 0002_operators.sql, but nothing is removed before it is in the figures (-2: try later), and departures and
-- blocks go with the rest.
CREATE OR REPLACE FUNCTION delivery.remove_issue_outcomes(for_issue_id bigint, kept interval, rows_max integer)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parent text;
    stage text;
    removed integer;
    total integer := 0;
BEGIN
    SELECT run.partition_stage INTO stage FROM delivery.issue_run AS run
     WHERE run.issue_id = for_issue_id AND run.finished_at < now() - kept AND run.work_removed_at IS NOT NULL
       FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the outcomes of issue % are needed', for_issue_id
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF EXISTS (SELECT FROM delivery.report_queue AS waiting WHERE waiting.issue_id = for_issue_id)
       OR EXISTS (SELECT FROM delivery.report_pace WHERE backfill_next_id <= backfill_end_id)
       OR EXISTS (SELECT FROM delivery.issue_run AS run LEFT JOIN delivery.report_issue AS report USING (issue_id)
                   WHERE run.issue_id = for_issue_id AND report.complete_for IS DISTINCT FROM run.finished_at
                     AND coalesce(run.partition_stage, '') <> 'removed') THEN
        RETURN -2;
    END IF;
    IF stage = 'own' THEN
        PERFORM set_config('lock_timeout', '200ms', true);
        BEGIN
            FOREACH parent IN ARRAY ARRAY['delivery', 'delivery_outcome'] LOOP
                EXECUTE format('ALTER TABLE delivery.%I DETACH PARTITION delivery.%I',
                               parent, parent || '_part_' || for_issue_id);
                EXECUTE format('DROP TABLE delivery.%I', parent || '_part_' || for_issue_id);
            END LOOP;
        EXCEPTION WHEN lock_not_available THEN
            RETURN -1;
        END;
        UPDATE delivery.issue_run AS run SET partition_stage = 'removed' WHERE run.issue_id = for_issue_id;
        RETURN 1;
    END IF;
    DELETE FROM delivery.delivery_outcome AS old
     WHERE old.issue_id = for_issue_id AND old.seq = ANY (ARRAY (
           SELECT found.seq FROM delivery.delivery_outcome AS found
            WHERE found.issue_id = for_issue_id ORDER BY found.seq LIMIT rows_max));
    GET DIAGNOSTICS removed = ROW_COUNT;
    total := total + removed;
    DELETE FROM delivery.delivery AS old
     WHERE old.issue_id = for_issue_id AND old.seq = ANY (ARRAY (
           SELECT found.seq FROM delivery.delivery AS found
            WHERE found.issue_id = for_issue_id ORDER BY found.seq LIMIT rows_max));
    GET DIAGNOSTICS removed = ROW_COUNT;
    total := total + removed;
    DELETE FROM delivery.outcome_history WHERE id = ANY (ARRAY (
        SELECT id FROM delivery.outcome_history WHERE issue_id = for_issue_id LIMIT rows_max));
    GET DIAGNOSTICS removed = ROW_COUNT;
    total := total + removed;
    DELETE FROM delivery.departure AS old
     WHERE old.issue_id = for_issue_id AND old.seq = ANY (ARRAY (
           SELECT found.seq FROM delivery.departure AS found WHERE found.issue_id = for_issue_id LIMIT rows_max));
    GET DIAGNOSTICS removed = ROW_COUNT;
    total := total + removed;
    DELETE FROM delivery.report_block AS old
     WHERE old.issue_id = for_issue_id AND old.block = ANY (ARRAY (
           SELECT found.block FROM delivery.report_block AS found WHERE found.issue_id = for_issue_id LIMIT rows_max));
    GET DIAGNOSTICS removed = ROW_COUNT;
    total := total + removed;
    DELETE FROM delivery.provider_event WHERE id = ANY (ARRAY (
        SELECT id FROM delivery.provider_event WHERE issue_id = for_issue_id ORDER BY seq LIMIT rows_max));
    GET DIAGNOSTICS removed = ROW_COUNT;
    total := total + removed;
    IF total = 0 THEN
        UPDATE delivery.issue_run AS run SET outcomes_removed_at = now() WHERE run.issue_id = for_issue_id;
    END IF;
    RETURN total;
END
$$;

-- As in 0003_leaving.sql, but a delivery says when the person left by the link in it.
CREATE OR REPLACE FUNCTION delivery.person_data(for_subscriber_id bigint, email_keys text[], rows_max integer) RETURNS jsonb
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
                              'left_by_its_link_at', (
                                  SELECT gone.left_at FROM delivery.departure AS gone
                                   WHERE gone.issue_id = theirs.issue_id AND gone.seq = theirs.seq),
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

REVOKE ALL ON FUNCTION delivery.enqueue_report_events, delivery.enqueue_departure FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delivery.enqueue_departure TO broadsheet_subscriptions;
GRANT SELECT ON delivery.departure TO broadsheet_delivery;
GRANT SELECT, INSERT, UPDATE, DELETE ON delivery.report_queue, delivery.report_pace, delivery.report_issue,
    delivery.report_block, delivery.report_domain, delivery.report_link, delivery.report_figure
   TO broadsheet_delivery;

-- Growth --------------------------------------------------------------------------------------------------------

-- How many people joined and left each day (UTC), and why. The sum over all days up to one is the number of confirmed
-- subscriptions at its end. Kept when the people are gone.
CREATE TABLE subscriptions.growth_day (
    newsletter_id bigint NOT NULL,
    day date NOT NULL,
    change text NOT NULL CHECK (change IN ('joined', 'left', 'bounced')),
    cause text NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (newsletter_id, day, change, cause)
);
-- The same, as it happens: one row for each statement, newsletter, change and cause. A loop adds them to the days;
-- whoever reads adds both. Without it, each of many sign-ups at once would wait for the one row of its day.
CREATE TABLE subscriptions.growth_queue (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    newsletter_id bigint NOT NULL,
    day date NOT NULL,
    change text NOT NULL CHECK (change IN ('joined', 'left', 'bounced')),
    cause text NOT NULL,
    count bigint NOT NULL
);

CREATE FUNCTION subscriptions.count_growth() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    named_source constant text := left(nullif(current_setting('broadsheet.change_source', true), ''), 40);
    today constant date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        INSERT INTO subscriptions.growth_queue (newsletter_id, day, change, cause, count)
        SELECT newsletter_id, today, 'joined', coalesce(named_source, 'other'), count(*) FROM new_rows
         WHERE state = 'confirmed' GROUP BY newsletter_id;
    WHEN 'UPDATE' THEN
        -- Planned anew each time: a plan made for one row would compare each of a million with each.
        EXECUTE $sql$
            INSERT INTO subscriptions.growth_queue (newsletter_id, day, change, cause, count)
            SELECT now_row.newsletter_id, $2, one.change, one.cause, count(*)
              FROM new_rows AS now_row
              JOIN old_rows AS was USING (id)
             CROSS JOIN LATERAL (
                   SELECT CASE now_row.state WHEN 'confirmed' THEN 'joined' ELSE 'left' END AS change,
                          -- Who followed the link in a confirmation mail came from where they had asked for it.
                          CASE WHEN now_row.state = 'confirmed' AND $1 IS NOT DISTINCT FROM 'link'
                               THEN coalesce((SELECT asked.source FROM subscriptions.consent_event AS asked
                                               WHERE asked.subscriber_id = now_row.subscriber_id
                                                 AND asked.newsletter_id = now_row.newsletter_id
                                                 AND asked.kind = 'requested'
                                               ORDER BY asked.id DESC LIMIT 1), 'link')
                               ELSE coalesce($1, 'other') END AS cause
                   ) AS one
             WHERE (now_row.state = 'confirmed') <> (was.state = 'confirmed')
             GROUP BY now_row.newsletter_id, one.change, one.cause
        $sql$ USING named_source, today;
    WHEN 'DELETE' THEN
        INSERT INTO subscriptions.growth_queue (newsletter_id, day, change, cause, count)
        SELECT newsletter_id, today, 'left', coalesce(named_source, 'removed'), count(*) FROM old_rows
         WHERE state = 'confirmed' GROUP BY newsletter_id;
    END CASE;
    RETURN NULL;
END
$$;

CREATE TRIGGER count_growth_of_new AFTER INSERT ON subscriptions.subscription
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION subscriptions.count_growth();
CREATE TRIGGER count_growth_of_changed AFTER UPDATE ON subscriptions.subscription
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION subscriptions.count_growth();
CREATE TRIGGER count_growth_of_removed AFTER DELETE ON subscriptions.subscription
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION subscriptions.count_growth();

-- A mailbox that Postmark gives up on leaves the subscription as it is; nothing is sent to it any more.
CREATE FUNCTION subscriptions.count_bounced() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO subscriptions.growth_queue (newsletter_id, day, change, cause, count)
    SELECT held.newsletter_id, (now() AT TIME ZONE 'UTC')::date, 'bounced', 'provider', count(*)
      FROM new_rows AS told
      JOIN subscriptions.subscriber AS person ON person.email_key = told.email_key
      JOIN subscriptions.subscription AS held
        ON held.subscriber_id = person.id AND held.newsletter_id = ANY (told.newsletter_ids)
     WHERE told.kind = 'hard_bounced' AND held.state = 'confirmed'
     GROUP BY held.newsletter_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER count_bounced AFTER INSERT ON subscriptions.provider_change
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION subscriptions.count_bounced();

-- What was before, as far as the rows still show it: each person's last joining and leaving. One scan, a second or two
-- a million rows; the triggers above let nobody write meanwhile, so nothing is missed or counted twice.
INSERT INTO subscriptions.growth_day (newsletter_id, day, change, cause, count)
SELECT newsletter_id, (confirmed_at AT TIME ZONE 'UTC')::date, 'joined',
       CASE WHEN import_id IS NULL THEN 'unknown' ELSE 'import' END, count(*)
  FROM subscriptions.subscription
 WHERE state = 'confirmed' OR (state = 'unsubscribed' AND confirmed_at IS NOT NULL)
 GROUP BY 1, 2, 3, 4
UNION ALL
SELECT newsletter_id, (greatest(unsubscribed_at, confirmed_at) AT TIME ZONE 'UTC')::date, 'left', 'unknown', count(*)
  FROM subscriptions.subscription
 WHERE state = 'unsubscribed' AND confirmed_at IS NOT NULL
 GROUP BY 1, 2, 3, 4;

REVOKE ALL ON FUNCTION subscriptions.count_growth, subscriptions.count_bounced FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON subscriptions.growth_day, subscriptions.growth_queue
   TO broadsheet_subscriptions;
