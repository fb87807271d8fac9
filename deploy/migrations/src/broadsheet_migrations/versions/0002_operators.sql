-- What operators may decide, the timeline of a delivery, and how long rows are kept.

-- Issues --------------------------------------------------------------------------------------------------------

ALTER TABLE delivery.issue_run
    -- Where the issue's deliveries are stored: default (with all others), own (a partition), or on the way there (NULL,
    -- excluded, validated), back (retreating), or dropped whole (removed). NULL stays for issues for which no partition
    -- was requested.
    ADD COLUMN partition_stage text,
    -- The nine counts of a finished issue whose working rows are being removed; from then on they are the counts.
    ADD COLUMN frozen_counts jsonb,
    ADD COLUMN work_removed_at timestamptz,
    ADD COLUMN outcomes_removed_at timestamptz;
-- squawk-ignore require-concurrent-index-creation -- one row an issue
CREATE INDEX issue_run_cancelling ON delivery.issue_run (issue_id) WHERE state = 'cancelled' AND finished_at IS NULL;
-- squawk-ignore require-concurrent-index-creation -- one row an issue
CREATE INDEX issue_run_kept ON delivery.issue_run (finished_at) WHERE outcomes_removed_at IS NULL;

-- Chunks, mails, attempts ---------------------------------------------------------------------------------------

-- NULL for older chunks: a default in ADD COLUMN would claim that they were enqueued just now.
ALTER TABLE delivery.delivery_chunk ADD COLUMN enqueued_at timestamptz, ADD COLUMN parked_at timestamptz;
ALTER TABLE delivery.delivery_chunk ALTER COLUMN enqueued_at SET DEFAULT now();
ALTER TABLE delivery.single_mail ADD COLUMN parked_at timestamptz;

-- Which deliveries of the issue the call carried: all from first_seq to last_seq, or only `seqs` of those.
ALTER TABLE delivery.send_attempt
    ADD COLUMN first_seq integer, ADD COLUMN last_seq integer, ADD COLUMN seqs integer[];
-- squawk-ignore require-concurrent-index-creation -- one row a call of up to 500 mails
CREATE INDEX send_attempt_by_issue ON delivery.send_attempt (issue_id) WHERE issue_id IS NOT NULL;

-- Decisions -----------------------------------------------------------------------------------------------------

-- Append-only: what people decided. Kept for ever.
CREATE TABLE delivery.operator_action (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    issue_id bigint NOT NULL,
    action text NOT NULL CHECK (action IN ('mark_sent', 'send_again', 'give_up', 'cancel', 'retry_failed')),
    -- The deliveries that it was about; NULL: the whole issue.
    seqs int4multirange,
    decided_by text NOT NULL,
    note text,
    decided_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX operator_action_by_issue ON delivery.operator_action (issue_id, id);

-- Set where a person's decision and not Postmark's answer made the outcome.
ALTER TABLE delivery.delivery_outcome ADD COLUMN decision_id bigint;

-- Append-only: outcomes that were set aside so that the delivery could be tried again.
CREATE TABLE delivery.outcome_history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    issue_id bigint NOT NULL,
    seq integer NOT NULL,
    outcome text NOT NULL,
    attempt_id uuid,
    error_code integer,
    reason text,
    settled_at timestamptz NOT NULL,
    retried_by_action_id bigint NOT NULL REFERENCES delivery.operator_action (id),
    retried_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outcome_history_by_delivery ON delivery.outcome_history (issue_id, seq);

-- The service cannot change facts, only add them; what may be removed is removed by the functions below.
GRANT SELECT, INSERT ON delivery.operator_action TO broadsheet_delivery;
GRANT SELECT ON delivery.outcome_history TO broadsheet_delivery;
REVOKE UPDATE, DELETE ON delivery.delivery, delivery.delivery_part_default, delivery.delivery_outcome,
    delivery.delivery_outcome_part_default, delivery.send_attempt, delivery.send_attempt_end FROM broadsheet_delivery;
-- A call that was recorded as uncertain counts the mails that the search shows later.
GRANT UPDATE (accepted_count) ON delivery.send_attempt_end TO broadsheet_delivery;

-- Set aside the failed outcomes among these deliveries; returns which they were. Outcomes that a person decided stay.
CREATE FUNCTION delivery.archive_failed_outcomes(for_issue_id bigint, for_seqs integer[], for_action_id bigint)
RETURNS SETOF integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM delivery.operator_action AS asked
                    WHERE asked.id = for_action_id AND asked.issue_id = for_issue_id
                      AND asked.action = 'retry_failed') THEN
        RAISE EXCEPTION 'no decision to retry issue %', for_issue_id USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM 1 FROM delivery.issue_run AS run
      WHERE run.issue_id = for_issue_id AND run.state <> 'cancelled' AND run.frozen_counts IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'issue % cannot be retried', for_issue_id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN QUERY
    WITH removed AS (
        DELETE FROM delivery.delivery_outcome AS old
         WHERE old.issue_id = for_issue_id AND old.seq = ANY (for_seqs)
           AND old.outcome = 'failed' AND old.decision_id IS NULL
        RETURNING old.*
    )
    INSERT INTO delivery.outcome_history AS history
           (issue_id, seq, outcome, attempt_id, error_code, reason, settled_at, retried_by_action_id)
    SELECT removed.issue_id, removed.seq, removed.outcome, removed.attempt_id, removed.error_code, removed.reason,
           removed.settled_at, for_action_id
      FROM removed
    RETURNING history.seq;
END
$$;

-- Cancel a published issue; returns the state that it had: open, paused, cancelled (nothing to do), finished (too
-- late), NULL (never published). From the commit on no chunk of it is claimed or begun.
CREATE FUNCTION delivery.cancel_issue(for_issue_id bigint, cancelled_by text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    was text;
BEGIN
    SELECT run.state INTO was FROM delivery.issue_run AS run WHERE run.issue_id = for_issue_id FOR UPDATE;
    IF was IN ('open', 'paused') THEN
        UPDATE delivery.issue_run AS run SET state = 'cancelled', pause_reason = NULL
         WHERE run.issue_id = for_issue_id;
        -- A worker that is about to begin a call with one of these waits for this commit, and then finds it taken.
        UPDATE delivery.delivery_chunk AS chunk
           SET status = 'pending', lease_token = NULL, lease_until = NULL
         WHERE chunk.issue_id = for_issue_id AND chunk.status = 'leased';
        UPDATE delivery.single_mail AS mail
           SET status = 'pending', lease_token = NULL, lease_until = NULL
         WHERE mail.issue_id = for_issue_id AND mail.status = 'leased';
        INSERT INTO delivery.operator_action (issue_id, action, decided_by)
        VALUES (for_issue_id, 'cancel', cancelled_by);
    END IF;
    RETURN was;
END
$$;

-- As before, but a cancelled issue accepts nothing more: 0 lets the caller close its fan-out in the same transaction.
CREATE OR REPLACE FUNCTION delivery.enqueue_deliveries(for_issue_id bigint, subscriber_ids bigint[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    size constant integer := coalesce(cardinality(subscriber_ids), 0);
    base integer;
    was text;
BEGIN
    IF size = 0 THEN
        RETURN 0;
    END IF;
    -- The row lock makes the numbering of two enqueuers of one issue take turns.
    UPDATE delivery.issue_run AS run
       SET next_seq = run.next_seq + CASE WHEN run.state = 'cancelled' THEN 0 ELSE size END
     WHERE run.issue_id = for_issue_id AND run.fan_out_finished_at IS NULL
    RETURNING run.next_seq - size, run.state INTO base, was;
    IF base IS NULL THEN
        RAISE EXCEPTION 'issue % takes no deliveries', for_issue_id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF was = 'cancelled' THEN
        RETURN 0;
    END IF;
    INSERT INTO delivery.delivery (issue_id, seq, subscriber_id)
    SELECT for_issue_id, base + item.position::integer - 1, item.subscriber_id
      FROM unnest(subscriber_ids) WITH ORDINALITY AS item (subscriber_id, position);
    INSERT INTO delivery.delivery_chunk (issue_id, first_seq, last_seq)
    SELECT for_issue_id, first, least(first + 499, base + size - 1)
      FROM generate_series(base, base + size - 1, 500) AS first;
    RETURN size;
END
$$;

-- Accounting ----------------------------------------------------------------------------------------------------

-- An issue is finished only when every delivery in it is settled and the counts add up to what was enqueued.
CREATE FUNCTION delivery.refuse_unsettled_end() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    in_chunks bigint;
    handed_over bigint;
    alone bigint;
    unsettled boolean;
BEGIN
    SELECT coalesce(sum(chunk.accepted_count + chunk.failed_count + chunk.suppressed_count + chunk.excluded_count
                        + chunk.cancelled_count), 0),
           coalesce(sum(chunk.handed_over_count), 0),
           coalesce(bool_or(chunk.status <> 'done'), false)
      INTO in_chunks, handed_over, unsettled
      FROM delivery.delivery_chunk AS chunk WHERE chunk.issue_id = NEW.issue_id;
    SELECT count(*), unsettled OR coalesce(bool_or(mail.settled_at IS NULL), false)
      INTO alone, unsettled
      FROM delivery.single_mail AS mail WHERE mail.issue_id = NEW.issue_id;
    IF NEW.fan_out_finished_at IS NULL OR unsettled OR handed_over <> alone
       OR in_chunks + alone <> NEW.next_seq - 1 THEN
        RAISE EXCEPTION 'issue % does not add up: % enqueued, % settled in chunks, % of % alone, unsettled: %',
            NEW.issue_id, NEW.next_seq - 1, in_chunks, alone, handed_over, unsettled
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER issue_run_end BEFORE UPDATE ON delivery.issue_run
    FOR EACH ROW WHEN (
        (NEW.finished_at IS NOT NULL AND OLD.finished_at IS NULL) OR (NEW.state = 'finished' AND OLD.state <> 'finished')
    )
    EXECUTE FUNCTION delivery.refuse_unsettled_end();

-- Counts: as before, plus the frozen ones, plus how many of the uncertain ones wait for a person.
CREATE OR REPLACE VIEW delivery.published_issue_progress AS
    SELECT run.issue_id,
           run.state,
           run.pause_reason,
           run.fan_out_finished_at,
           run.finished_at,
           coalesce((run.frozen_counts ->> 'audience')::bigint, chunks.audience, 0) AS audience,
           coalesce((run.frozen_counts ->> 'pending')::bigint,
                    coalesce(chunks.pending, 0) + coalesce(singles.pending, 0)) AS pending,
           coalesce((run.frozen_counts ->> 'in_flight')::bigint,
                    coalesce(chunks.in_flight, 0) + coalesce(singles.in_flight, 0)) AS in_flight,
           coalesce((run.frozen_counts ->> 'accepted')::bigint,
                    coalesce(chunks.accepted, 0) + coalesce(singles.accepted, 0)) AS accepted,
           coalesce((run.frozen_counts ->> 'failed')::bigint,
                    coalesce(chunks.failed, 0) + coalesce(singles.failed, 0)) AS failed,
           coalesce((run.frozen_counts ->> 'suppressed')::bigint,
                    coalesce(chunks.suppressed, 0) + coalesce(singles.suppressed, 0)) AS suppressed,
           coalesce((run.frozen_counts ->> 'excluded')::bigint,
                    coalesce(chunks.excluded, 0) + coalesce(singles.excluded, 0)) AS excluded,
           coalesce((run.frozen_counts ->> 'uncertain')::bigint,
                    coalesce(chunks.uncertain, 0) + coalesce(singles.uncertain, 0)) AS uncertain,
           coalesce((run.frozen_counts ->> 'cancelled')::bigint,
                    coalesce(chunks.cancelled, 0) + coalesce(singles.cancelled, 0)) AS cancelled,
           coalesce(chunks.parked, 0) + coalesce(singles.parked, 0) AS parked
      FROM delivery.issue_run AS run
      LEFT JOIN LATERAL (
          SELECT sum(size) AS audience,
                 sum(size - settled) FILTER (WHERE status = 'pending') AS pending,
                 sum(size - settled) FILTER (WHERE status IN ('leased', 'attempting')) AS in_flight,
                 sum(size - settled) FILTER (WHERE status = 'uncertain') AS uncertain,
                 sum(size - settled) FILTER (WHERE status = 'uncertain' AND parked_at IS NOT NULL) AS parked,
                 sum(accepted_count) AS accepted,
                 sum(failed_count) AS failed,
                 sum(suppressed_count) AS suppressed,
                 sum(excluded_count) AS excluded,
                 sum(cancelled_count) AS cancelled
            FROM (
                SELECT chunk.*,
                       chunk.last_seq - chunk.first_seq + 1 AS size,
                       chunk.accepted_count + chunk.failed_count + chunk.suppressed_count + chunk.excluded_count
                       + chunk.cancelled_count + chunk.handed_over_count AS settled
                  FROM delivery.delivery_chunk AS chunk
                 WHERE chunk.issue_id = run.issue_id AND run.frozen_counts IS NULL
            ) AS sized
      ) AS chunks ON true
      LEFT JOIN LATERAL (
          SELECT count(*) FILTER (WHERE mail.status = 'pending') AS pending,
                 count(*) FILTER (WHERE mail.status IN ('leased', 'attempting')) AS in_flight,
                 count(*) FILTER (WHERE mail.status = 'uncertain') AS uncertain,
                 count(*) FILTER (WHERE mail.status = 'uncertain' AND mail.parked_at IS NOT NULL) AS parked,
                 count(*) FILTER (WHERE mail.status = 'accepted') AS accepted,
                 count(*) FILTER (WHERE mail.status = 'failed') AS failed,
                 count(*) FILTER (WHERE mail.status = 'suppressed') AS suppressed,
                 count(*) FILTER (WHERE mail.status = 'excluded') AS excluded,
                 count(*) FILTER (WHERE mail.status IN ('cancelled', 'expired')) AS cancelled
            FROM delivery.single_mail AS mail
           WHERE mail.issue_id = run.issue_id AND run.frozen_counts IS NULL
      ) AS singles ON true;

-- Partitions and retention --------------------------------------------------------------------------------------

-- Give a large issue partitions of its own before its first delivery is enqueued. Each call is one transaction; it is
-- called again until it returns `own` or `default`, because each stage needs a lock that must not be held during the
-- next: ATTACH would scan the default partition while nobody else may use it, unless a validated constraint makes that
-- unnecessary. No lock is waited for longer than 200 ms; without it, the issue goes into the default partition.
-- `may_begin` false: only finish what was begun.
CREATE FUNCTION delivery.partition_issue(for_issue_id bigint, may_begin boolean) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parent text;
    stage text;
    enqueued integer;
BEGIN
    SELECT run.partition_stage, run.next_seq - 1 INTO stage, enqueued
      FROM delivery.issue_run AS run WHERE run.issue_id = for_issue_id FOR UPDATE;
    IF NOT FOUND OR stage IN ('own', 'default', 'removed') OR (stage IS NULL AND (enqueued > 0 OR NOT may_begin)) THEN
        RETURN coalesce(stage, 'default');
    END IF;
    PERFORM set_config('lock_timeout', '200ms', true);
    BEGIN
        CASE coalesce(stage, 'new')
        WHEN 'new' THEN
            FOREACH parent IN ARRAY ARRAY['delivery', 'delivery_outcome'] LOOP
                EXECUTE format('CREATE TABLE delivery.%I (LIKE delivery.%I INCLUDING ALL)',
                               parent || '_part_' || for_issue_id, parent);
                EXECUTE format('ALTER TABLE delivery.%I ADD CONSTRAINT %I CHECK (issue_id <> %s) NOT VALID',
                               parent || '_part_default', 'not_issue_' || for_issue_id, for_issue_id);
            END LOOP;
            stage := 'excluded';
        WHEN 'excluded' THEN
            FOREACH parent IN ARRAY ARRAY['delivery', 'delivery_outcome'] LOOP
                EXECUTE format('ALTER TABLE delivery.%I VALIDATE CONSTRAINT %I',
                               parent || '_part_default', 'not_issue_' || for_issue_id);
            END LOOP;
            stage := 'validated';
        WHEN 'validated' THEN
            FOREACH parent IN ARRAY ARRAY['delivery', 'delivery_outcome'] LOOP
                EXECUTE format('ALTER TABLE delivery.%I ATTACH PARTITION delivery.%I FOR VALUES IN (%s)',
                               parent, parent || '_part_' || for_issue_id, for_issue_id);
                EXECUTE format('ALTER TABLE delivery.%I DROP CONSTRAINT %I',
                               parent || '_part_default', 'not_issue_' || for_issue_id);
            END LOOP;
            stage := 'own';
        WHEN 'retreating' THEN
            FOREACH parent IN ARRAY ARRAY['delivery', 'delivery_outcome'] LOOP
                EXECUTE format('ALTER TABLE delivery.%I DROP CONSTRAINT %I',
                               parent || '_part_default', 'not_issue_' || for_issue_id);
                EXECUTE format('DROP TABLE delivery.%I', parent || '_part_' || for_issue_id);
            END LOOP;
            stage := 'default';
        END CASE;
    EXCEPTION WHEN lock_not_available THEN
        -- Until the constraint is gone nothing of the issue can be enqueued, so the way back is tried until it works.
        stage := CASE coalesce(stage, 'new') WHEN 'new' THEN 'default' ELSE 'retreating' END;
    END;
    UPDATE delivery.issue_run AS run SET partition_stage = stage WHERE run.issue_id = for_issue_id;
    RETURN stage;
END
$$;

-- Remove a bounded number of the working rows of a finished issue whose counts are frozen; returns how many.
CREATE FUNCTION delivery.remove_issue_work(for_issue_id bigint, kept interval, rows_max integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    removed integer;
    total integer := 0;
BEGIN
    PERFORM 1 FROM delivery.issue_run AS run
      WHERE run.issue_id = for_issue_id AND run.finished_at < now() - kept AND run.frozen_counts IS NOT NULL FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the working rows of issue % are needed', for_issue_id
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    DELETE FROM delivery.single_mail WHERE id = ANY (ARRAY (
        SELECT id FROM delivery.single_mail WHERE issue_id = for_issue_id LIMIT rows_max));
    GET DIAGNOSTICS removed = ROW_COUNT;
    total := total + removed;
    DELETE FROM delivery.delivery_chunk WHERE id = ANY (ARRAY (
        SELECT id FROM delivery.delivery_chunk WHERE issue_id = for_issue_id ORDER BY first_seq LIMIT rows_max));
    GET DIAGNOSTICS removed = ROW_COUNT;
    total := total + removed;
    WITH old AS (
        DELETE FROM delivery.send_attempt WHERE id = ANY (ARRAY (
            SELECT id FROM delivery.send_attempt WHERE issue_id = for_issue_id LIMIT rows_max))
        RETURNING id
    )
    DELETE FROM delivery.send_attempt_end WHERE attempt_id = ANY (ARRAY (SELECT id FROM old));
    IF EXISTS (SELECT 1 FROM delivery.send_attempt WHERE issue_id = for_issue_id) THEN
        total := total + 1;
    END IF;
    IF total = 0 THEN
        UPDATE delivery.issue_run AS run SET work_removed_at = now() WHERE run.issue_id = for_issue_id;
    END IF;
    RETURN total;
END
$$;

-- Remove a bounded number of old attempts that belong to no issue (transactional mail, canaries) on these streams.
CREATE FUNCTION delivery.remove_old_attempts(streams text[], kept interval, rows_max integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    removed integer;
BEGIN
    IF kept < interval '1 day' THEN
        RAISE EXCEPTION 'attempts are kept for a day at least' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    WITH old AS MATERIALIZED (
        SELECT attempt.id FROM unnest(streams) AS stream
         CROSS JOIN LATERAL (
               SELECT found.id FROM delivery.send_attempt AS found
                WHERE found.message_stream = stream AND found.started_at < now() - kept AND found.issue_id IS NULL
                  AND NOT EXISTS (SELECT 1 FROM delivery.single_mail AS mail
                                   WHERE mail.status = 'uncertain' AND mail.attempt_id = found.id)
                ORDER BY found.started_at LIMIT rows_max
         ) AS attempt
    ), removed_ends AS (
        DELETE FROM delivery.send_attempt_end WHERE attempt_id = ANY (ARRAY (SELECT id FROM old))
    )
    DELETE FROM delivery.send_attempt WHERE id = ANY (ARRAY (SELECT id FROM old));
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;

-- Remove the deliveries and outcomes of a finished issue: its own partitions at once, or a bounded number of rows.
-- Returns how many rows were removed (partitions count as 1), and 0 once nothing is left; -1: no lock within 200 ms,
-- try later.
CREATE FUNCTION delivery.remove_issue_outcomes(for_issue_id bigint, kept interval, rows_max integer) RETURNS integer
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

REVOKE ALL ON FUNCTION delivery.archive_failed_outcomes, delivery.cancel_issue, delivery.refuse_unsettled_end,
    delivery.partition_issue, delivery.remove_issue_work, delivery.remove_old_attempts, delivery.remove_issue_outcomes
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delivery.archive_failed_outcomes, delivery.remove_issue_work, delivery.remove_old_attempts,
    delivery.remove_issue_outcomes TO broadsheet_delivery;
GRANT EXECUTE ON FUNCTION delivery.cancel_issue, delivery.partition_issue TO broadsheet_publishing;
