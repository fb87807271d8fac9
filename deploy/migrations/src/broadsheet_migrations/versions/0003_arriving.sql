-- How people arrive: what they agreed to, how much mail they may cause, and which sites hold a newsletter's own forms.

ALTER TABLE publishing.newsletter
    -- Sites whose pages hold the newsletter's form: a script there may read the answers, and its pages are recorded.
    ADD COLUMN allowed_origins text[] NOT NULL DEFAULT '{}',
    -- Whether the public home page lists it; it has its own page either way.
    ADD COLUMN is_listed boolean NOT NULL DEFAULT false;

-- Append-only: what somebody did towards a subscription, and what was sent to them for it. A row is deleted only with
-- its subscriber, by the cascade, which the service's role can cause but not do itself.
CREATE TABLE subscriptions.consent_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscriber_id bigint NOT NULL REFERENCES subscriptions.subscriber (id) ON DELETE CASCADE,
    newsletter_id bigint NOT NULL,
    -- requested: somebody asked, and a mail was queued in the same commit; mail_sent, mail_not_sent: its outcome;
    -- confirmed: the link in it was followed, and the button pressed.
    kind text NOT NULL CHECK (kind IN ('requested', 'mail_sent', 'mail_not_sent', 'confirmed')),
    occurred_at timestamptz NOT NULL DEFAULT now(),
    -- form: the public form, or one that is embedded elsewhere; api; link: a link in a mail; import: a file of people,
    -- whose import says on what legal ground they are in it; system: what we observed.
    source text NOT NULL CHECK (source IN ('form', 'api', 'link', 'import', 'system')),
    -- Who called the API: `user:<id>` or `key:<id>`; or `import:<id>`.
    actor text,
    ip inet,
    user_agent text CHECK (length(user_agent) <= 500),
    form_url text CHECK (length(form_url) <= 1000),
    -- Of broadsheet_common.contracts.consent_wording: the sentence shown at the form.
    wording_version integer,
    -- Which of the two mails about a sign-up was queued.
    mail text CHECK (mail IN ('confirmation', 'already_subscribed')),
    -- The queue's key of that mail, by which its outcome is found.
    mail_key text,
    -- Why a mail was not sent.
    reason text
);
CREATE INDEX consent_event_by_subscriber ON subscriptions.consent_event (subscriber_id, id);

CREATE FUNCTION subscriptions.refuse_change_of_consent() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'consent events are never changed' USING ERRCODE = 'restrict_violation';
END
$$;
REVOKE ALL ON FUNCTION subscriptions.refuse_change_of_consent FROM PUBLIC;
CREATE TRIGGER consent_event_is_append_only BEFORE UPDATE ON subscriptions.consent_event
    FOR EACH ROW EXECUTE FUNCTION subscriptions.refuse_change_of_consent();

-- Mails about sign-ups whose outcome is not yet in the consent record.
CREATE TABLE subscriptions.unsettled_mail (
    consent_event_id bigint PRIMARY KEY REFERENCES subscriptions.consent_event (id) ON DELETE CASCADE,
    look_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX unsettled_mail_due ON subscriptions.unsettled_mail (look_at);

-- How many mails about sign-ups a mailbox was sent in its window, over all newsletters. Only a hash of the mailbox is
-- stored, and only for the length of the window.
CREATE TABLE subscriptions.mailbox_quota (
    mailbox_hash bytea PRIMARY KEY CHECK (length(mailbox_hash) = 32),
    window_began_at timestamptz NOT NULL DEFAULT now(),
    mails integer NOT NULL DEFAULT 0
);
CREATE INDEX mailbox_quota_by_age ON subscriptions.mailbox_quota (window_began_at);

-- squawk-ignore require-concurrent-index-creation -- holds what is pending alone, a small part of the table
CREATE INDEX subscription_pending_since ON subscriptions.subscription ((coalesce(confirmation_queued_at, created_at)))
    WHERE state = 'pending';

GRANT SELECT, INSERT ON subscriptions.consent_event TO broadsheet_subscriptions;
GRANT SELECT, INSERT, UPDATE, DELETE ON subscriptions.unsettled_mail, subscriptions.mailbox_quota
   TO broadsheet_subscriptions;

CREATE OR REPLACE VIEW publishing.published_newsletters AS
    SELECT id AS newsletter_id, slug, name, is_default, from_name, from_email, reply_to, message_stream,
           unsubscribe_handling, postal_address, allowed_origins, is_listed
      FROM publishing.newsletter;

-- The outcomes of mails about sign-ups, by the key under which they were queued. No address and no content.
CREATE VIEW delivery.published_sign_up_mails AS
    SELECT dedupe_key AS mail_key, status, settled_at
      FROM delivery.single_mail
     WHERE kind = 'confirmation';
GRANT SELECT ON delivery.published_sign_up_mails TO broadsheet_subscriptions;
