CREATE TABLE publishing.newsletter (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    is_default boolean NOT NULL DEFAULT false,
    -- NULL: the sender that delivery is configured with (MAIL_FROM).
    from_name text,
    from_email text,
    reply_to text,
    message_stream text NOT NULL DEFAULT 'broadcast',
    -- custom: we write the RFC 8058 headers; postmark: Postmark adds its own and ours would be doubled.
    unsubscribe_handling text NOT NULL DEFAULT 'custom' CHECK (unsubscribe_handling IN ('custom', 'postmark')),
    postal_address text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX newsletter_one_default ON publishing.newsletter (is_default) WHERE is_default;
INSERT INTO publishing.newsletter (slug, name, is_default) VALUES ('newsletter', 'Newsletter', true);

CREATE TABLE publishing.issue (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    newsletter_id bigint NOT NULL REFERENCES publishing.newsletter (id),
    title text NOT NULL CHECK (length(title) BETWEEN 1 AND 2000),
    html_content text NOT NULL,
    text_content text NOT NULL,
    -- The state of a published issue (publishing, sending, paused, sent, cancelled) is delivery's.
    status text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'scheduled', 'published', 'cancelled')),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    CHECK ((status = 'published') = (published_at IS NOT NULL))
);
CREATE INDEX issue_by_newsletter ON publishing.issue (newsletter_id, id);

-- One row for each issue from its publish on: how far the audience is enqueued. The cursor moves in the transaction
-- that enqueues, so a crash neither skips nor repeats anybody.
CREATE TABLE publishing.fan_out (
    issue_id bigint PRIMARY KEY REFERENCES publishing.issue (id),
    -- The audience: confirmed on the newsletter at this moment.
    frozen_at timestamptz NOT NULL DEFAULT now(),
    cursor_subscriber_id bigint NOT NULL DEFAULT 0,
    enqueued_count bigint NOT NULL DEFAULT 0,
    finished_at timestamptz
);
CREATE INDEX fan_out_open ON publishing.fan_out (issue_id) WHERE finished_at IS NULL;

CREATE TABLE publishing.idempotency_key (
    scope text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status smallint,
    body bytea,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_key_expiry ON publishing.idempotency_key (expires_at);

CREATE VIEW publishing.published_newsletters AS
    SELECT id AS newsletter_id, slug, name, is_default, from_name, from_email, reply_to, message_stream,
           unsubscribe_handling, postal_address
      FROM publishing.newsletter;

-- What delivery needs to write the mails of an issue. Content never changes once published.
CREATE VIEW publishing.published_issues AS
    SELECT id AS issue_id, newsletter_id, title, html_content, text_content, published_at
      FROM publishing.issue
     WHERE status = 'published';

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA publishing TO broadsheet_publishing;
GRANT USAGE ON SCHEMA publishing TO broadsheet_subscriptions, broadsheet_delivery;
GRANT SELECT ON publishing.published_newsletters TO broadsheet_subscriptions, broadsheet_delivery;
GRANT SELECT ON publishing.published_issues TO broadsheet_delivery;
