-- The versions of an issue's content, and of its newsletter's sender, from which a mail is made. Delivery keeps parsed
-- templates under these numbers, so that a correction reaches every replica with its next claim. Triggers count them,
-- so that no way of correcting something can forget to.
ALTER TABLE publishing.issue ADD COLUMN content_version bigint NOT NULL DEFAULT 1;
ALTER TABLE publishing.newsletter ADD COLUMN sender_version bigint NOT NULL DEFAULT 1;

CREATE FUNCTION publishing.count_content_version() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (NEW.newsletter_id, NEW.title, NEW.html_content, NEW.text_content)
       IS DISTINCT FROM (OLD.newsletter_id, OLD.title, OLD.html_content, OLD.text_content) THEN
        NEW.content_version := OLD.content_version + 1;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER count_content_version BEFORE UPDATE OF newsletter_id, title, html_content, text_content
    ON publishing.issue FOR EACH ROW EXECUTE FUNCTION publishing.count_content_version();

CREATE FUNCTION publishing.count_sender_version() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (NEW.slug, NEW.name, NEW.from_name, NEW.from_email, NEW.reply_to, NEW.message_stream, NEW.unsubscribe_handling,
        NEW.postal_address)
       IS DISTINCT FROM (OLD.slug, OLD.name, OLD.from_name, OLD.from_email, OLD.reply_to, OLD.message_stream,
        OLD.unsubscribe_handling, OLD.postal_address) THEN
        NEW.sender_version := OLD.sender_version + 1;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER count_sender_version BEFORE UPDATE ON publishing.newsletter
    FOR EACH ROW EXECUTE FUNCTION publishing.count_sender_version();

CREATE OR REPLACE VIEW publishing.published_newsletters AS
    SELECT id AS newsletter_id, slug, name, is_default, from_name, from_email, reply_to, message_stream,
           unsubscribe_handling, postal_address, allowed_origins, is_listed, sender_version
      FROM publishing.newsletter;

CREATE OR REPLACE VIEW publishing.published_issues AS
    SELECT id AS issue_id, newsletter_id, title, html_content, text_content, published_at, content_version
      FROM publishing.issue
     WHERE status = 'published';

REVOKE ALL ON FUNCTION publishing.count_content_version, publishing.count_sender_version FROM PUBLIC;
