-- The queue's interface: all that other services may do to the schema `delivery`. These functions run with the owner's
-- rights, with a fixed search path, and check their arguments.

CREATE FUNCTION delivery.enqueue_single_mail(
    kind text, dedupe_key text, to_email text, subject text, html_body text, text_body text,
    expires_in interval, traceparent text
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF kind NOT IN ('confirmation', 'password_reset', 'test') THEN
        RAISE EXCEPTION 'unknown kind of single mail: %', kind USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO delivery.single_mail (kind, dedupe_key, to_email, subject, html_body, text_body, expires_at, traceparent)
    VALUES (kind, dedupe_key, to_email, subject, html_body, text_body, now() + expires_in, traceparent)
    ON CONFLICT ON CONSTRAINT single_mail_dedupe_key_key DO NOTHING;
END
$$;

CREATE FUNCTION delivery.open_issue_run(issue_id bigint, newsletter_id bigint, traceparent text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO delivery.issue_run (issue_id, newsletter_id, traceparent) VALUES (issue_id, newsletter_id, traceparent);
    -- One wake-up an issue; polling is the truth, this only makes the first mail leave sooner.
    PERFORM pg_notify('broadsheet_delivery_wake', issue_id::text);
END
$$;

-- Enqueue one page of an issue's audience: a delivery for each subscriber, in chunks of at most 500. A subscriber who
-- has a delivery already is an error: the caller's cursor moves in the same transaction, so it cannot happen.
CREATE FUNCTION delivery.enqueue_deliveries(for_issue_id bigint, subscriber_ids bigint[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    size constant integer := coalesce(cardinality(subscriber_ids), 0);
    base integer;
BEGIN
    IF size = 0 THEN
        RETURN 0;
    END IF;
    -- The row lock makes the numbering of two enqueuers of one issue take turns.
    UPDATE delivery.issue_run AS run
       SET next_seq = run.next_seq + size
     WHERE run.issue_id = for_issue_id AND run.fan_out_finished_at IS NULL
    RETURNING run.next_seq - size INTO base;
    IF base IS NULL THEN
        RAISE EXCEPTION 'issue % takes no deliveries', for_issue_id USING ERRCODE = 'object_not_in_prerequisite_state';
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

CREATE FUNCTION delivery.close_fan_out(for_issue_id bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE delivery.issue_run AS run SET fan_out_finished_at = now()
     WHERE run.issue_id = for_issue_id AND run.fan_out_finished_at IS NULL;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA delivery FROM PUBLIC;
GRANT USAGE ON SCHEMA delivery TO broadsheet_subscriptions, broadsheet_publishing, broadsheet_gateway;
GRANT EXECUTE ON FUNCTION delivery.enqueue_single_mail
   TO broadsheet_subscriptions, broadsheet_publishing, broadsheet_gateway;
GRANT EXECUTE ON FUNCTION delivery.open_issue_run, delivery.enqueue_deliveries, delivery.close_fan_out
   TO broadsheet_publishing;

-- The progress of each issue. The eight counts add up to the audience in every snapshot: each delivery is counted once,
-- by its chunk's counters, by its chunk's status, or (handed over) by its row in the single-mail lane. Never by
-- counting deliveries.
CREATE VIEW delivery.published_issue_progress AS
    SELECT run.issue_id,
           run.state,
           run.pause_reason,
           run.fan_out_finished_at,
           run.finished_at,
           coalesce(chunks.audience, 0) AS audience,
           coalesce(chunks.pending, 0) + coalesce(singles.pending, 0) AS pending,
           coalesce(chunks.in_flight, 0) + coalesce(singles.in_flight, 0) AS in_flight,
           coalesce(chunks.accepted, 0) + coalesce(singles.accepted, 0) AS accepted,
           coalesce(chunks.failed, 0) + coalesce(singles.failed, 0) AS failed,
           coalesce(chunks.suppressed, 0) + coalesce(singles.suppressed, 0) AS suppressed,
           coalesce(chunks.excluded, 0) + coalesce(singles.excluded, 0) AS excluded,
           coalesce(chunks.uncertain, 0) + coalesce(singles.uncertain, 0) AS uncertain,
           coalesce(chunks.cancelled, 0) + coalesce(singles.cancelled, 0) AS cancelled
      FROM delivery.issue_run AS run
      LEFT JOIN LATERAL (
          SELECT sum(size) AS audience,
                 sum(size - settled) FILTER (WHERE status = 'pending') AS pending,
                 sum(size - settled) FILTER (WHERE status IN ('leased', 'attempting')) AS in_flight,
                 sum(size - settled) FILTER (WHERE status = 'uncertain') AS uncertain,
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
                 WHERE chunk.issue_id = run.issue_id
            ) AS sized
      ) AS chunks ON true
      LEFT JOIN LATERAL (
          SELECT count(*) FILTER (WHERE mail.status = 'pending') AS pending,
                 count(*) FILTER (WHERE mail.status IN ('leased', 'attempting')) AS in_flight,
                 count(*) FILTER (WHERE mail.status = 'uncertain') AS uncertain,
                 count(*) FILTER (WHERE mail.status = 'accepted') AS accepted,
                 count(*) FILTER (WHERE mail.status = 'failed') AS failed,
                 count(*) FILTER (WHERE mail.status = 'suppressed') AS suppressed,
                 count(*) FILTER (WHERE mail.status = 'excluded') AS excluded,
                 count(*) FILTER (WHERE mail.status IN ('cancelled', 'expired')) AS cancelled
            FROM delivery.single_mail AS mail
           WHERE mail.issue_id = run.issue_id
      ) AS singles ON true;
GRANT SELECT ON delivery.published_issue_progress TO broadsheet_publishing, broadsheet_delivery;
