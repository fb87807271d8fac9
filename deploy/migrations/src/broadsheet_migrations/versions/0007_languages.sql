-- Mails to readers are in the newsletter's language: subscriptions' own, and the footer that delivery adds.

CREATE OR REPLACE VIEW publishing.published_newsletters AS
    SELECT id AS newsletter_id, slug, name, is_default, from_name, from_email, reply_to, message_stream,
           unsubscribe_handling, postal_address, allowed_origins, is_listed, sender_version,
           track_opens, track_links, archived_at, language
      FROM publishing.newsletter;

-- The footer is part of what delivery keeps under this number.
CREATE OR REPLACE FUNCTION publishing.count_sender_version() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (NEW.slug, NEW.name, NEW.from_name, NEW.from_email, NEW.reply_to, NEW.message_stream, NEW.unsubscribe_handling,
        NEW.postal_address, NEW.track_opens, NEW.track_links, NEW.language)
       IS DISTINCT FROM (OLD.slug, OLD.name, OLD.from_name, OLD.from_email, OLD.reply_to, OLD.message_stream,
        OLD.unsubscribe_handling, OLD.postal_address, OLD.track_opens, OLD.track_links, OLD.language) THEN
        NEW.sender_version := OLD.sender_version + 1;
    END IF;
    RETURN NEW;
END
$$;
