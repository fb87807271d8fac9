-- Parts of an issue: chunks of one variant each, which may wait for a time or for the winner of an A/B test.

-- A replica looks for chunks that are due. Those that wait, which may be nearly all, are not walked through.
-- squawk-ignore require-concurrent-index-deletion -- this migration holds the table's lock already, for its new column
DROP INDEX delivery.delivery_chunk_claimable;
-- squawk-ignore require-concurrent-index-creation -- 2,000 rows for a million recipients, until they are removed
CREATE INDEX delivery_chunk_claimable ON delivery.delivery_chunk (issue_id, run_at, id) WHERE status = 'pending';

-- The variant that those get who were not in the test.
ALTER TABLE delivery.issue_run ADD COLUMN winner smallint CHECK (winner BETWEEN 1 AND 4);

-- Enqueue one page of a part of an issue's audience, as enqueue_deliveries did of the whole. `not_before` NULL: to be
-- sent at once. `for_variant` 0: to be sent when the winner is known.
CREATE FUNCTION delivery.enqueue_part(
    for_issue_id bigint, subscriber_ids bigint[], for_variant smallint, not_before timestamptz
) RETURNS integer
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
    -- A cancelled issue accepts nothing more: 0 lets the caller close its fan-out in the same transaction.
    IF was = 'cancelled' THEN
        RETURN 0;
    END IF;
    INSERT INTO delivery.delivery (issue_id, seq, subscriber_id)
    SELECT for_issue_id, base + item.position::integer - 1, item.subscriber_id
      FROM unnest(subscriber_ids) WITH ORDINALITY AS item (subscriber_id, position);
    INSERT INTO delivery.delivery_chunk (issue_id, first_seq, last_seq, variant, run_at)
    SELECT for_issue_id, first, least(first + 499, base + size - 1), for_variant,
           CASE WHEN for_variant = 0 THEN 'infinity' ELSE coalesce(not_before, now()) END
      FROM generate_series(base, base + size - 1, 500) AS first;
    RETURN size;
END
$$;

CREATE OR REPLACE FUNCTION delivery.enqueue_deliveries(for_issue_id bigint, subscriber_ids bigint[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN delivery.enqueue_part(for_issue_id, subscriber_ids, 1::smallint, NULL);
END
$$;

-- Let those who wait for the winner of an issue's A/B test have it. False: there is nothing to decide, because the
-- winner is known already, the fan-out is not complete, or the issue was cancelled or is sent.
CREATE FUNCTION delivery.release_rest(for_issue_id bigint, for_winner smallint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE delivery.issue_run AS run SET winner = for_winner
     WHERE run.issue_id = for_issue_id AND run.winner IS NULL AND run.fan_out_finished_at IS NOT NULL
       AND run.state IN ('open', 'paused');
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE delivery.delivery_chunk AS chunk SET variant = for_winner, run_at = now()
     WHERE chunk.issue_id = for_issue_id AND chunk.status = 'pending' AND chunk.variant = 0;
    PERFORM pg_notify('broadsheet_delivery_wake', for_issue_id::text);
    RETURN true;
END
$$;

REVOKE ALL ON FUNCTION delivery.enqueue_part, delivery.release_rest FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delivery.enqueue_part, delivery.release_rest TO broadsheet_publishing;

-- What an A/B test is decided by: people, each counted once, as the report shows them.
CREATE VIEW delivery.published_variant_figures AS
    SELECT issue_id, key::smallint AS variant,
           coalesce(sum(count) FILTER (WHERE figure = 'accepted'), 0)::bigint AS accepted,
           coalesce(sum(count) FILTER (WHERE figure = 'delivery_reported'), 0)::bigint AS delivery_reported,
           coalesce(sum(count) FILTER (WHERE figure = 'delivered'), 0)::bigint AS delivered,
           coalesce(sum(count) FILTER (WHERE figure = 'opened_by_reader'), 0)::bigint AS opened_by_reader,
           coalesce(sum(count) FILTER (WHERE figure = 'clicked_by_reader'), 0)::bigint AS clicked_by_reader
      FROM delivery.report_figure
     WHERE part = 'variant'
     GROUP BY issue_id, key;
GRANT SELECT ON delivery.published_variant_figures TO broadsheet_publishing;
