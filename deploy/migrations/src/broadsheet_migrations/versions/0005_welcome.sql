-- The welcome mail of a newsletter, and the check of a stream when it is set.

-- What the author wrote, and the Liquid templates that were made of it; no row: the newsletter never had one.
CREATE TABLE publishing.welcome_mail (
    newsletter_id bigint PRIMARY KEY REFERENCES publishing.newsletter (id) ON DELETE CASCADE,
    is_enabled boolean NOT NULL,
    subject text NOT NULL,
    content text NOT NULL,
    -- Why the source, or the newsletter's present look, cannot be made into a mail; as the API shows them.
    faults jsonb NOT NULL DEFAULT '[]',
    -- NULL: it was never compiled. What was compiled last stays when a later look of the newsletter cannot be.
    mail_subject text,
    html_content text,
    text_content text,
    -- Counted by a trigger: delivery keeps parsed templates under this number.
    content_version bigint NOT NULL DEFAULT 1,
    -- Counted up with each change of what the mail is made of; outdated while the second is less than the first.
    wanted_version bigint NOT NULL DEFAULT 1,
    compiled_version bigint NOT NULL DEFAULT 0,
    CHECK ((mail_subject IS NULL) = (html_content IS NULL) AND (mail_subject IS NULL) = (text_content IS NULL)),
    CHECK (NOT is_enabled OR mail_subject IS NOT NULL)
);
CREATE INDEX welcome_mail_outdated ON publishing.welcome_mail (newsletter_id) WHERE compiled_version < wanted_version;
GRANT SELECT, INSERT, UPDATE, DELETE ON publishing.welcome_mail TO broadsheet_publishing;

CREATE FUNCTION publishing.count_welcome_version() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (NEW.mail_subject, NEW.html_content, NEW.text_content)
       IS DISTINCT FROM (OLD.mail_subject, OLD.html_content, OLD.text_content) THEN
        NEW.content_version := OLD.content_version + 1;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER count_welcome_version BEFORE UPDATE ON publishing.welcome_mail
    FOR EACH ROW EXECUTE FUNCTION publishing.count_welcome_version();

-- What a newsletter or its layout looks like is compiled into the mail. No code path can forget this.
CREATE FUNCTION publishing.outdate_welcome_mail() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_TABLE_NAME = 'layout' THEN
        UPDATE publishing.welcome_mail AS welcome SET wanted_version = welcome.wanted_version + 1
          FROM publishing.newsletter AS letter
         WHERE letter.layout_id = NEW.id AND welcome.newsletter_id = letter.id;
    ELSE
        UPDATE publishing.welcome_mail AS welcome SET wanted_version = welcome.wanted_version + 1
         WHERE welcome.newsletter_id = NEW.id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER outdate_welcome_mail AFTER UPDATE ON publishing.layout
    FOR EACH ROW WHEN ((NEW.format, NEW.source) IS DISTINCT FROM (OLD.format, OLD.source))
    EXECUTE FUNCTION publishing.outdate_welcome_mail();
CREATE TRIGGER outdate_welcome_mail AFTER UPDATE ON publishing.newsletter
    FOR EACH ROW WHEN (
        (NEW.name, NEW.postal_address, NEW.language, NEW.direction, NEW.accent_colour, NEW.logo_url, NEW.logo_alt,
         NEW.layout_id)
        IS DISTINCT FROM
        (OLD.name, OLD.postal_address, OLD.language, OLD.direction, OLD.accent_colour, OLD.logo_url, OLD.logo_alt,
         OLD.layout_id))
    EXECUTE FUNCTION publishing.outdate_welcome_mail();

-- The welcome mails that are sent.
CREATE VIEW publishing.published_welcome_mails AS
    SELECT welcome.newsletter_id, welcome.mail_subject AS subject, welcome.html_content, welcome.text_content,
           welcome.content_version
      FROM publishing.welcome_mail AS welcome
      JOIN publishing.newsletter AS letter ON letter.id = welcome.newsletter_id
     WHERE welcome.is_enabled AND letter.archived_at IS NULL;
GRANT SELECT ON publishing.published_welcome_mails TO broadsheet_delivery;

-- In the single-mail lane. The mail is rendered when it is sent, as an issue's are.
-- squawk-ignore ban-drop-constraint -- a wider one follows
ALTER TABLE delivery.single_mail DROP CONSTRAINT single_mail_kind_check;
ALTER TABLE delivery.single_mail
    ADD COLUMN newsletter_id bigint,
    ADD COLUMN subscriber_id bigint,
    ADD CONSTRAINT single_mail_kind_check CHECK (kind IN (
        'confirmation', 'password_reset', 'test', 'newsletter', 'preferences_link', 'address_change', 'address_notice',
        'welcome'
    )) NOT VALID,
    ADD CONSTRAINT single_mail_welcome CHECK (
        (kind = 'welcome') = (newsletter_id IS NOT NULL) AND (kind = 'welcome') = (subscriber_id IS NOT NULL)
    ) NOT VALID;
-- squawk-ignore require-concurrent-index-creation -- what waits in this lane is little
CREATE INDEX single_mail_welcome_due ON delivery.single_mail (run_at, id)
    WHERE status = 'pending' AND kind = 'welcome';
-- In place of single_mail_transactional, which holds welcome mails too: however many wait, a confirmation is found at
-- once. The other is dropped one release later, when no replica of the version before asks by it.
-- squawk-ignore require-concurrent-index-creation -- what waits in this lane is little
CREATE INDEX single_mail_transactional_due ON delivery.single_mail (run_at, id)
    WHERE status = 'pending' AND kind <> 'newsletter' AND kind <> 'welcome';

-- Queues the newsletter's welcome mail for this person, if it has one, once.
CREATE FUNCTION delivery.enqueue_welcome_mail(
    for_newsletter_id bigint, for_subscriber_id bigint, expires_in interval, traceparent text
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- The address is for an erasure and for what a person is shown about themselves; the mail goes to the one they
    -- have when it is sent.
    INSERT INTO delivery.single_mail
           (kind, dedupe_key, to_email, newsletter_id, subscriber_id, expires_at, traceparent)
    SELECT 'welcome', 'welcome:' || welcome.newsletter_id || ':' || person.subscriber_id, person.email,
           welcome.newsletter_id, person.subscriber_id, now() + expires_in, traceparent
      FROM publishing.published_welcome_mails AS welcome
      JOIN subscriptions.published_recipients AS person
        ON person.newsletter_id = welcome.newsletter_id AND person.subscriber_id = for_subscriber_id
     WHERE welcome.newsletter_id = for_newsletter_id
    ON CONFLICT ON CONSTRAINT single_mail_dedupe_key_key DO NOTHING;
END
$$;
GRANT EXECUTE ON FUNCTION delivery.enqueue_welcome_mail TO broadsheet_subscriptions;

-- Whether a stream fits a way of handling unsubscribes, as Postmark showed it: asked when a newsletter's stream is set.
CREATE TABLE delivery.stream_check (
    message_stream text NOT NULL,
    unsubscribe_handling text NOT NULL CHECK (unsubscribe_handling IN ('custom', 'postmark')),
    requested_at timestamptz NOT NULL DEFAULT now(),
    -- NULL until the first answer.
    checked_at timestamptz,
    state text NOT NULL DEFAULT 'unknown' CHECK (state IN ('fits', 'mismatch', 'unknown')),
    reason text,
    PRIMARY KEY (message_stream, unsubscribe_handling)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON delivery.stream_check TO broadsheet_delivery;

-- Asks for a fresh check; it is there within seconds.
CREATE FUNCTION delivery.request_stream_check(for_message_stream text, for_unsubscribe_handling text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO delivery.stream_check AS fact (message_stream, unsubscribe_handling)
    VALUES (for_message_stream, for_unsubscribe_handling)
    ON CONFLICT (message_stream, unsubscribe_handling) DO UPDATE SET requested_at = now()
     -- One that waits already stays as it is, so that requests do not pile up as dead rows.
     WHERE fact.checked_at >= fact.requested_at;
END
$$;
GRANT EXECUTE ON FUNCTION delivery.request_stream_check TO broadsheet_publishing;

CREATE VIEW delivery.published_stream_checks AS
    SELECT message_stream, unsubscribe_handling, requested_at, checked_at, state, reason FROM delivery.stream_check;
GRANT SELECT ON delivery.published_stream_checks TO broadsheet_publishing, broadsheet_delivery;

REVOKE ALL ON FUNCTION publishing.count_welcome_version, publishing.outdate_welcome_mail,
    delivery.enqueue_welcome_mail, delivery.request_stream_check FROM PUBLIC;
