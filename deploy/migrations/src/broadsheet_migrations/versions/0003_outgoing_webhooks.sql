-- Outgoing webhooks: the endpoints that are told what happens to subscribers, what is still to be told, and the
-- answers.

CREATE TABLE subscriptions.webhook_endpoint (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url text NOT NULL CHECK (length(url) <= 2000),
    description text NOT NULL DEFAULT '' CHECK (length(description) <= 500),
    events text[] NOT NULL CHECK (cardinality(events) > 0 AND events <@ ARRAY[
        'subscriber.subscribed', 'subscriber.confirmed', 'subscriber.unsubscribed', 'subscriber.bounced',
        'subscriber.complained']),
    -- NULL: every newsletter.
    newsletter_ids bigint[] CHECK (cardinality(newsletter_ids) > 0),
    enabled boolean NOT NULL DEFAULT true,
    -- Why it was disabled, where the sender disabled it.
    disabled_reason text,
    disabled_at timestamptz,
    -- The failures since the last success: when they began, and how many.
    failing_since timestamptz,
    failure_count integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Its deliveries are removed in batches, and the row when none is left.
    deleted_at timestamptz,
    CHECK (NOT enabled OR (disabled_at IS NULL AND disabled_reason IS NULL)),
    CHECK (deleted_at IS NULL OR NOT enabled)
);

-- There are several while a new secret replaces an old one: each signs until it expires.
CREATE TABLE subscriptions.webhook_secret (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id bigint NOT NULL REFERENCES subscriptions.webhook_endpoint (id) ON DELETE CASCADE,
    -- Encrypted by the service, bound to the endpoint.
    sealed text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz
);
CREATE INDEX webhook_secret_by_endpoint ON subscriptions.webhook_secret (endpoint_id);

-- One event for one endpoint. No address: it is read when the call is made, so that no data of an erased subscriber
-- waits here. No foreign keys: a sign-up must not fail, or wait, because an endpoint is being changed.
CREATE TABLE subscriptions.webhook_delivery (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id bigint NOT NULL,
    -- The same at every attempt, so that receivers recognize a repeated event.
    message_id uuid NOT NULL DEFAULT gen_random_uuid(),
    type text NOT NULL CHECK (type IN (
        'subscriber.subscribed', 'subscriber.confirmed', 'subscriber.unsubscribed', 'subscriber.bounced',
        'subscriber.complained', 'webhook.test')),
    subscriber_id bigint,
    newsletter_id bigint,
    -- The state of the subscription just after the event.
    state text,
    source text,
    occurred_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    status text NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'delivered', 'failed', 'cancelled')),
    -- When to attempt next; while an attempt is under way, when its lease ends.
    run_at timestamptz NOT NULL DEFAULT now(),
    lease_token uuid,
    -- The number of attempts since it was queued or last retried by a person: its place in the retry schedule.
    attempts_begun integer NOT NULL DEFAULT 0,
    settled_at timestamptz,
    CHECK ((status = 'waiting') = (settled_at IS NULL))
);
CREATE INDEX webhook_delivery_due ON subscriptions.webhook_delivery (endpoint_id, run_at, id) WHERE status = 'waiting';
-- A disabled endpoint may have many deliveries that wait: its test events are found without reading all of them.
CREATE INDEX webhook_delivery_tests ON subscriptions.webhook_delivery (endpoint_id, run_at, id)
    WHERE status = 'waiting' AND type = 'webhook.test';
CREATE INDEX webhook_delivery_log ON subscriptions.webhook_delivery (endpoint_id, id);
CREATE INDEX webhook_delivery_by_subscriber ON subscriptions.webhook_delivery (subscriber_id);
CREATE INDEX webhook_delivery_age ON subscriptions.webhook_delivery (created_at);

CREATE TABLE subscriptions.webhook_attempt (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id bigint NOT NULL REFERENCES subscriptions.webhook_delivery (id) ON DELETE CASCADE,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    duration_ms integer NOT NULL,
    -- An HTTP status, or why there was none.
    http_status integer,
    error text,
    -- The beginning of the answer; removed when the subscriber is erased, because receivers repeat what they were sent.
    answer text CHECK (length(answer) <= 1000),
    CHECK ((http_status IS NULL) <> (error IS NULL))
);
CREATE INDEX webhook_attempt_by_delivery ON subscriptions.webhook_attempt (delivery_id, id);

GRANT SELECT, INSERT, UPDATE, DELETE
   ON subscriptions.webhook_endpoint, subscriptions.webhook_secret, subscriptions.webhook_delivery,
      subscriptions.webhook_attempt
   TO broadsheet_subscriptions;

-- Every way of arriving or leaving changes a subscription, so a trigger here misses none, and the event is in the same
-- commit as the change. It runs once for each statement: one look at the endpoints for any number of rows. A use case
-- that knows the reason puts it into the variable broadsheet.change_source of its transaction.
CREATE FUNCTION subscriptions.queue_subscription_webhooks() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    named_source constant text := left(nullif(current_setting('broadsheet.change_source', true), ''), 40);
    changes text;
BEGIN
    IF NOT EXISTS (SELECT FROM subscriptions.webhook_endpoint WHERE enabled) THEN
        RETURN NULL;
    END IF;
    changes := CASE TG_OP
        WHEN 'INSERT' THEN $sql$
            SELECT CASE state WHEN 'pending' THEN 'subscriber.subscribed'
                              WHEN 'confirmed' THEN 'subscriber.confirmed' END AS type,
                   subscriber_id, newsletter_id, state, $1 AS source
              FROM new_rows
        $sql$
        WHEN 'UPDATE' THEN $sql$
            SELECT CASE new_row.state WHEN 'pending' THEN 'subscriber.subscribed'
                                      WHEN 'confirmed' THEN 'subscriber.confirmed'
                                      WHEN 'unsubscribed' THEN 'subscriber.unsubscribed' END,
                   new_row.subscriber_id, new_row.newsletter_id, new_row.state,
                   coalesce($1, CASE WHEN new_row.state = 'unsubscribed'
                                      AND new_row.provider_unsubscribed_at = new_row.unsubscribed_at
                                     THEN 'provider' END)
              FROM new_rows AS new_row
              JOIN old_rows AS old_row USING (id)
             WHERE new_row.state <> old_row.state
        $sql$
        WHEN 'DELETE' THEN $sql$
            SELECT 'subscriber.unsubscribed', subscriber_id, newsletter_id, 'unsubscribed', coalesce($1, 'removed')
              FROM old_rows
             WHERE state IN ('pending', 'confirmed')
        $sql$
    END;
    -- Planned anew each time: a plan made for one row would compare each of a million with each.
    EXECUTE format($sql$
        INSERT INTO subscriptions.webhook_delivery (endpoint_id, type, subscriber_id, newsletter_id, state, source)
        SELECT endpoint.id, change.type, change.subscriber_id, change.newsletter_id, change.state, change.source
          FROM (%s) AS change (type, subscriber_id, newsletter_id, state, source)
          JOIN subscriptions.webhook_endpoint AS endpoint
            ON endpoint.enabled AND change.type = ANY (endpoint.events)
           AND (endpoint.newsletter_ids IS NULL OR change.newsletter_id = ANY (endpoint.newsletter_ids))
    $sql$, changes) USING named_source;
    RETURN NULL;
END
$$;

CREATE TRIGGER queue_webhooks_of_new AFTER INSERT ON subscriptions.subscription
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION subscriptions.queue_subscription_webhooks();
CREATE TRIGGER queue_webhooks_of_changed AFTER UPDATE ON subscriptions.subscription
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION subscriptions.queue_subscription_webhooks();
CREATE TRIGGER queue_webhooks_of_removed AFTER DELETE ON subscriptions.subscription
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION subscriptions.queue_subscription_webhooks();

-- What the provider reports about a mailbox changes no subscription by itself, or not always. There is one event for
-- each newsletter that it concerns; if it concerns none (a confirmation mail that bounced), one event without a
-- newsletter.
CREATE FUNCTION subscriptions.queue_provider_webhooks() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO subscriptions.webhook_delivery
           (endpoint_id, type, subscriber_id, newsletter_id, state, source, occurred_at)
    SELECT endpoint.id, change.type, change.subscriber_id, change.newsletter_id, change.state, 'provider',
           change.occurred_at
      FROM (SELECT CASE told.kind WHEN 'hard_bounced' THEN 'subscriber.bounced'
                                  WHEN 'complained' THEN 'subscriber.complained' END AS type,
                   person.id AS subscriber_id, subscription.newsletter_id, subscription.state, told.occurred_at
              FROM new_rows AS told
              JOIN subscriptions.subscriber AS person ON person.email_key = told.email_key
              LEFT JOIN subscriptions.subscription AS subscription
                ON subscription.subscriber_id = person.id AND subscription.newsletter_id = ANY (told.newsletter_ids)
           ) AS change
      JOIN subscriptions.webhook_endpoint AS endpoint
        ON endpoint.enabled AND change.type = ANY (endpoint.events)
       AND (endpoint.newsletter_ids IS NULL OR change.newsletter_id = ANY (endpoint.newsletter_ids));
    RETURN NULL;
END
$$;

CREATE TRIGGER queue_webhooks_of_provider AFTER INSERT ON subscriptions.provider_change
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION subscriptions.queue_provider_webhooks();

-- About an erased subscriber only one thing is still told, without an address: that they left.
CREATE FUNCTION subscriptions.forget_webhooks_of_removed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM subscriptions.webhook_delivery) THEN
        RETURN NULL;
    END IF;
    -- Planned anew each time, as above.
    EXECUTE $sql$
        UPDATE subscriptions.webhook_attempt AS attempt SET answer = NULL
          FROM old_rows JOIN subscriptions.webhook_delivery AS delivery ON delivery.subscriber_id = old_rows.id
         WHERE attempt.delivery_id = delivery.id AND attempt.answer IS NOT NULL
    $sql$;
    EXECUTE $sql$
        UPDATE subscriptions.webhook_delivery AS delivery
           SET status = 'cancelled', settled_at = now(), lease_token = NULL
          FROM old_rows
         WHERE delivery.subscriber_id = old_rows.id AND delivery.status = 'waiting'
           AND delivery.type <> 'subscriber.unsubscribed'
    $sql$;
    RETURN NULL;
END
$$;

CREATE TRIGGER forget_webhooks AFTER DELETE ON subscriptions.subscriber
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION subscriptions.forget_webhooks_of_removed();

REVOKE ALL ON FUNCTION subscriptions.queue_subscription_webhooks, subscriptions.queue_provider_webhooks,
                       subscriptions.forget_webhooks_of_removed FROM PUBLIC;
