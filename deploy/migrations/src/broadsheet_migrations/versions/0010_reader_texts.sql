-- A newsletter's own words on its pages and in its mails for readers.

ALTER TABLE publishing.newsletter
    -- Of broadsheet_common.languages.reader_texts, by name. One that is missing or empty: our own words.
    ADD COLUMN texts jsonb NOT NULL DEFAULT '{}';
ALTER TABLE publishing.newsletter
    ADD CONSTRAINT newsletter_texts CHECK (jsonb_typeof(texts) = 'object') NOT VALID;

CREATE OR REPLACE VIEW publishing.published_newsletters AS
    SELECT id AS newsletter_id, slug, name, is_default, from_name, from_email, reply_to, message_stream,
           unsubscribe_handling, postal_address, allowed_origins, is_listed, sender_version,
           track_opens, track_links, archived_at, language, accent_colour, logo_url, logo_alt, texts
      FROM publishing.newsletter;
