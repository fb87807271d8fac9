-- Mails to readers come from their newsletter: its sender, name, colour and logo.

-- What subscriptions' mails look like.
CREATE OR REPLACE VIEW publishing.published_newsletters AS
    SELECT id AS newsletter_id, slug, name, is_default, from_name, from_email, reply_to, message_stream,
           unsubscribe_handling, postal_address, allowed_origins, is_listed, sender_version,
           track_opens, track_links, archived_at, language, accent_colour, logo_url, logo_alt
      FROM publishing.newsletter;

-- Any mail to a reader may name its newsletter, not a welcome mail alone. An account's mails name none, nor do those of
-- an issue, which knows its own.
-- squawk-ignore ban-drop-constraint -- a wider one follows
ALTER TABLE delivery.single_mail DROP CONSTRAINT single_mail_welcome;
ALTER TABLE delivery.single_mail
    ADD CONSTRAINT single_mail_of_newsletter CHECK (
        (kind = 'welcome') = (subscriber_id IS NOT NULL)
        AND (kind <> 'welcome' OR newsletter_id IS NOT NULL)
        AND (newsletter_id IS NULL OR kind IN (
            'welcome', 'confirmation', 'test', 'preferences_link', 'address_change', 'address_notice'))
    ) NOT VALID;

-- Mails of one kind to readers, each from its newsletter's sender; NULL: it is about no newsletter. The arrays are of one
-- length. delivery.enqueue_single_mails stays one release longer, for services of the version before.
CREATE FUNCTION delivery.enqueue_reader_mails(
    kind text, newsletter_ids bigint[], dedupe_keys text[], to_emails text[], subjects text[], html_bodies text[],
    text_bodies text[], expires_in interval, traceparents text[]
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF kind NOT IN ('confirmation', 'test', 'preferences_link', 'address_change', 'address_notice') THEN
        RAISE EXCEPTION 'no kind of mail to readers: %', kind USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO delivery.single_mail
           (kind, newsletter_id, dedupe_key, to_email, subject, html_body, text_body, expires_at, traceparent)
    SELECT kind, mail.newsletter_id, mail.dedupe_key, mail.to_email, mail.subject, mail.html_body, mail.text_body,
           now() + expires_in, mail.traceparent
      FROM unnest(newsletter_ids, dedupe_keys, to_emails, subjects, html_bodies, text_bodies, traceparents)
                  AS mail (newsletter_id, dedupe_key, to_email, subject, html_body, text_body, traceparent)
    ON CONFLICT ON CONSTRAINT single_mail_dedupe_key_key DO NOTHING;
END
$$;
REVOKE ALL ON FUNCTION delivery.enqueue_reader_mails FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delivery.enqueue_reader_mails TO broadsheet_subscriptions, broadsheet_publishing;
