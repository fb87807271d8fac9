-- Mails to readers are in the newsletter's language: subscriptions' own, and the footer that delivery adds.

CREATE OR REPLACE VIEW publishing.published_newsletters AS
    SELECT id AS newsletter_id, slug, name, is_default, from_name, from_email, reply_to, message_stream,
           unsubscribe_handling, postal_address, allowed_origins, is_listed, sender_version,
           track_opens, track_links, archived_at, language
      FROM publishing.newsletter;
