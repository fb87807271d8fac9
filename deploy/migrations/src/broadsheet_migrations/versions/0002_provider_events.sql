-- Postmark's webhooks: stored, deduplicated, applied.

-- As they came, until a delivery replica has applied them. A row is removed in the transaction that applies it.
CREATE TABLE delivery.provider_event_inbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    body text NOT NULL,
    source text NOT NULL CHECK (source IN ('webhook', 'backstop')),
    received_at timestamptz NOT NULL DEFAULT now(),
    run_at timestamptz NOT NULL DEFAULT now(),
    failure_count integer NOT NULL DEFAULT 0
);
CREATE INDEX provider_event_inbox_due ON delivery.provider_event_inbox (run_at, id);

-- Append-only: each event once, however often it came. No address, except for events that stop or resume sending to
-- one. Events of an issue are removed with its outcomes, the others after the same time.
CREATE TABLE delivery.provider_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    record_type text NOT NULL,
    message_stream text,
    message_id uuid,
    -- The delivery or the single mail that the event's metadata name, where the attempt they name is ours.
    issue_id bigint,
    seq integer,
    single_mail_id bigint,
    email_key text,
    source text NOT NULL CHECK (source IN ('webhook', 'backstop')),
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    dedupe_key text NOT NULL UNIQUE,
    detail jsonb NOT NULL,
    CHECK ((issue_id IS NULL) = (seq IS NULL))
);
CREATE INDEX provider_event_by_delivery ON delivery.provider_event (issue_id, seq) WHERE issue_id IS NOT NULL;
CREATE INDEX provider_event_by_message ON delivery.provider_event (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX provider_event_of_no_issue ON delivery.provider_event (received_at) WHERE issue_id IS NULL;

-- All or none of them, numbered in the order given.
CREATE FUNCTION delivery.enqueue_provider_events(bodies text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO delivery.provider_event_inbox (body, source)
    SELECT one.body, 'webhook' FROM unnest(bodies) WITH ORDINALITY AS one (body, position) ORDER BY one.position;
END
$$;
REVOKE ALL ON FUNCTION delivery.enqueue_provider_events FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delivery.enqueue_provider_events TO broadsheet_gateway;

-- Remove a bounded number of old events that belong to no issue. Their effect stays: a suppression stores the time of
-- its own event, with which a late copy is compared.
CREATE FUNCTION delivery.remove_old_events(kept interval, rows_max integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    removed integer;
BEGIN
    IF kept IS NULL OR kept < interval '1 day' THEN
        RAISE EXCEPTION 'events are kept for a day at least' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    DELETE FROM delivery.provider_event WHERE id = ANY (ARRAY (
        SELECT id FROM delivery.provider_event
         WHERE issue_id IS NULL AND received_at < now() - kept ORDER BY received_at LIMIT rows_max));
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;
REVOKE ALL ON FUNCTION delivery.remove_old_events FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delivery.remove_old_events TO broadsheet_delivery;

-- Suppressions: a state with the time of the event that decided it, so that the order of arrival does not matter.
CREATE SEQUENCE delivery.suppression_id_seq AS bigint;
ALTER TABLE delivery.suppression
    ADD COLUMN id bigint,
    ADD COLUMN kind text NOT NULL DEFAULT 'inactive',
    ADD COLUMN origin text NOT NULL DEFAULT 'postmark',
    ADD COLUMN note text,
    ADD COLUMN active boolean NOT NULL DEFAULT true,
    ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now(),
    -- When to tell Postmark next of what was decided here; NULL: nothing to tell.
    ADD COLUMN tell_run_at timestamptz,
    ADD COLUMN tell_count integer NOT NULL DEFAULT 0,
    ADD COLUMN tell_error text;
UPDATE delivery.suppression SET id = nextval('delivery.suppression_id_seq'), changed_at = created_at;
ALTER TABLE delivery.suppression ALTER COLUMN id SET DEFAULT nextval('delivery.suppression_id_seq');
ALTER SEQUENCE delivery.suppression_id_seq OWNED BY delivery.suppression.id;
ALTER TABLE delivery.suppression
    ADD CONSTRAINT suppression_id_not_null CHECK (id IS NOT NULL) NOT VALID,
    ADD CONSTRAINT suppression_kind CHECK (
        kind IN ('inactive', 'manual', 'hard_bounce', 'unsubscribe', 'complaint')
    ) NOT VALID,
    -- A complaint is never lifted.
    ADD CONSTRAINT suppression_complaint_stays CHECK (kind <> 'complaint' OR active) NOT VALID;
-- squawk-ignore require-concurrent-index-creation -- read by claims, written seldom
CREATE UNIQUE INDEX suppression_by_id ON delivery.suppression (id);
-- squawk-ignore require-concurrent-index-creation -- as above, and empty at first
CREATE INDEX suppression_to_tell ON delivery.suppression (tell_run_at) WHERE tell_run_at IS NOT NULL;

-- The synchronization with what Postmark knows: one replica at a time, by a lease.
CREATE TABLE delivery.backstop_state (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    run_at timestamptz NOT NULL DEFAULT now(),
    lease_token uuid,
    lease_until timestamptz,
    -- Bounces before this moment have been read.
    bounces_read_to timestamptz,
    finished_at timestamptz,
    CHECK ((lease_token IS NULL) = (lease_until IS NULL))
);

GRANT SELECT, INSERT ON delivery.provider_event TO broadsheet_delivery;
GRANT SELECT, INSERT, UPDATE, DELETE ON delivery.provider_event_inbox, delivery.backstop_state TO broadsheet_delivery;
GRANT USAGE ON SEQUENCE delivery.suppression_id_seq TO broadsheet_delivery;

-- What Postmark says about people, on its way to the service that keeps their subscriptions ---------------------------

CREATE TABLE subscriptions.provider_change (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('unsubscribe', 'resubscribe', 'complained', 'hard_bounced')),
    email_key text NOT NULL,
    newsletter_ids bigint[] NOT NULL,
    occurred_at timestamptz NOT NULL,
    enqueued_at timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE subscriptions.subscription
    -- The newest event of Postmark's own unsubscribe link that was read.
    ADD COLUMN provider_changed_at timestamptz,
    -- Equal to unsubscribed_at: that link, and nothing since, has unsubscribed; the link may undo only this.
    ADD COLUMN provider_unsubscribed_at timestamptz;

CREATE FUNCTION subscriptions.enqueue_provider_change(
    kind text, email_key text, newsletter_ids bigint[], occurred_at timestamptz
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO subscriptions.provider_change (kind, email_key, newsletter_ids, occurred_at)
    VALUES (kind, email_key, newsletter_ids, occurred_at);
END
$$;
REVOKE ALL ON FUNCTION subscriptions.enqueue_provider_change FROM PUBLIC;
GRANT EXECUTE ON FUNCTION subscriptions.enqueue_provider_change TO broadsheet_delivery;
GRANT SELECT, INSERT, UPDATE, DELETE ON subscriptions.provider_change TO broadsheet_subscriptions;
