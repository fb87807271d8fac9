CREATE TABLE subscriptions.subscriber (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL CHECK (length(email) <= 254),
    -- Equal keys are the same address (broadsheet_common.mail.email_address).
    email_key text NOT NULL UNIQUE CHECK (length(email_key) <= 254),
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE subscriptions.subscription (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    newsletter_id bigint NOT NULL,
    subscriber_id bigint NOT NULL REFERENCES subscriptions.subscriber (id) ON DELETE CASCADE,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'confirmed', 'unsubscribed')),
    created_at timestamptz NOT NULL DEFAULT now(),
    confirmed_at timestamptz,
    unsubscribed_at timestamptz,
    -- When the last confirmation mail was queued: the cool-down counts from here.
    confirmation_queued_at timestamptz,
    UNIQUE (newsletter_id, subscriber_id),
    CHECK (state <> 'confirmed' OR confirmed_at IS NOT NULL),
    CHECK (state <> 'unsubscribed' OR unsubscribed_at IS NOT NULL)
);
CREATE INDEX subscription_by_subscriber ON subscriptions.subscription (subscriber_id);
-- The audience of an issue, in the order in which the fan-out walks it.
CREATE INDEX subscription_audience ON subscriptions.subscription (newsletter_id, subscriber_id, confirmed_at)
    WHERE state = 'confirmed';

-- Only the hash is kept: somebody who reads the database cannot confirm for others.
CREATE TABLE subscriptions.confirmation_token (
    token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    subscription_id bigint NOT NULL REFERENCES subscriptions.subscription (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX confirmation_token_by_subscription ON subscriptions.confirmation_token (subscription_id);
CREATE INDEX confirmation_token_expiry ON subscriptions.confirmation_token (expires_at);

CREATE TABLE subscriptions.idempotency_key (
    scope text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status smallint,
    body bytea,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_key_expiry ON subscriptions.idempotency_key (expires_at);

-- Who gets a newsletter's issues, and where their mail goes: publishing freezes audiences by it, delivery reads
-- addresses and states from it when it claims and once more just before it sends.
CREATE VIEW subscriptions.published_recipients AS
    SELECT s.newsletter_id, s.subscriber_id, s.id AS subscription_id, s.state, s.confirmed_at, p.email, p.email_key, p.name
      FROM subscriptions.subscription AS s
      JOIN subscriptions.subscriber AS p ON p.id = s.subscriber_id;

-- The same without personal data, for walking an audience by its index alone.
CREATE VIEW subscriptions.published_audience AS
    SELECT newsletter_id, subscriber_id, confirmed_at
      FROM subscriptions.subscription
     WHERE state = 'confirmed';

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA subscriptions TO broadsheet_subscriptions;
GRANT USAGE ON SCHEMA subscriptions TO broadsheet_publishing, broadsheet_delivery;
GRANT SELECT ON subscriptions.published_recipients TO broadsheet_delivery;
GRANT SELECT ON subscriptions.published_audience TO broadsheet_publishing;
