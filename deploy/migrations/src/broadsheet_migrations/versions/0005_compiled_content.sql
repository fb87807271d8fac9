-- What delivery renders: the Liquid templates of an issue's mails, compiled from what its author wrote. One row for each
-- variant of a published issue, written in the transaction that publishes it (docs/decisions/0019-authoring.md).
CREATE TABLE publishing.compiled_content (
    issue_id bigint NOT NULL REFERENCES publishing.issue (id) ON DELETE CASCADE,
    variant smallint NOT NULL DEFAULT 1 CHECK (variant BETWEEN 1 AND 4),
    title text NOT NULL,
    subject text NOT NULL,
    preheader text NOT NULL DEFAULT '',
    -- NULL: the mails are plain text only. Postmark refuses an empty body.
    html_content text CHECK (html_content <> ''),
    text_content text NOT NULL,
    -- NULL: the issue has no address on the web.
    web_path text CHECK (web_path LIKE '/%'),
    -- Counted by a trigger: delivery keeps parsed templates under this number.
    content_version bigint NOT NULL DEFAULT 1,
    compiled_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (issue_id, variant)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON publishing.compiled_content TO broadsheet_publishing;

CREATE FUNCTION publishing.count_compiled_version() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (NEW.title, NEW.subject, NEW.preheader, NEW.html_content, NEW.text_content, NEW.web_path)
       IS DISTINCT FROM (OLD.title, OLD.subject, OLD.preheader, OLD.html_content, OLD.text_content, OLD.web_path) THEN
        NEW.content_version := OLD.content_version + 1;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER count_compiled_version BEFORE UPDATE ON publishing.compiled_content
    FOR EACH ROW EXECUTE FUNCTION publishing.count_compiled_version();

-- Issues that were published before: what was written was rendered as it stands.
INSERT INTO publishing.compiled_content (issue_id, title, subject, html_content, text_content)
SELECT id, title, title, nullif(html_content, ''), text_content FROM publishing.issue WHERE status = 'published';

-- A publishing replica of the version before, which runs while this one is deployed, publishes without compiled content.
-- At the end of its transaction the issue gets what it would have rendered. To be removed one release later, when every
-- publishing replica writes compiled content.
CREATE FUNCTION publishing.compile_as_written() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM publishing.compiled_content AS compiled WHERE compiled.issue_id = NEW.id) THEN
        RETURN NULL;
    END IF;
    IF NEW.html_content IS NULL THEN
        -- Written by a replica of this version: the one before would mail it without its content.
        RAISE EXCEPTION 'issue % was not compiled', NEW.id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    INSERT INTO publishing.compiled_content (issue_id, title, subject, html_content, text_content)
    SELECT id, title, title, nullif(html_content, ''), text_content
      FROM publishing.issue WHERE id = NEW.id AND status = 'published';
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER compile_as_written AFTER INSERT OR UPDATE OF status ON publishing.issue
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.status = 'published') EXECUTE FUNCTION publishing.compile_as_written();

-- The version is the sum of two that only grow, so that it changes with either.
CREATE VIEW publishing.published_contents AS
    SELECT compiled.issue_id, compiled.variant, issue.newsletter_id, compiled.title, compiled.subject,
           compiled.html_content, compiled.text_content, compiled.web_path, issue.published_at,
           compiled.content_version + issue.content_version AS content_version
      FROM publishing.compiled_content AS compiled
      JOIN publishing.issue ON issue.id = compiled.issue_id
     WHERE issue.status = 'published';
GRANT SELECT ON publishing.published_contents TO broadsheet_delivery;

-- What Postmark may track in the mails of a newsletter: whether they are opened, and which links are followed.
ALTER TABLE publishing.newsletter
    ADD COLUMN track_opens boolean NOT NULL DEFAULT false,
    ADD COLUMN track_links boolean NOT NULL DEFAULT false;

CREATE OR REPLACE FUNCTION publishing.count_sender_version() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (NEW.slug, NEW.name, NEW.from_name, NEW.from_email, NEW.reply_to, NEW.message_stream, NEW.unsubscribe_handling,
        NEW.postal_address, NEW.track_opens, NEW.track_links)
       IS DISTINCT FROM (OLD.slug, OLD.name, OLD.from_name, OLD.from_email, OLD.reply_to, OLD.message_stream,
        OLD.unsubscribe_handling, OLD.postal_address, OLD.track_opens, OLD.track_links) THEN
        NEW.sender_version := OLD.sender_version + 1;
    END IF;
    RETURN NEW;
END
$$;

CREATE OR REPLACE VIEW publishing.published_newsletters AS
    SELECT id AS newsletter_id, slug, name, is_default, from_name, from_email, reply_to, message_stream,
           unsubscribe_handling, postal_address, allowed_origins, is_listed, sender_version, track_opens, track_links
      FROM publishing.newsletter;

-- What an issue may merge of its reader, read only for issues whose templates use it.
CREATE VIEW subscriptions.published_merge_values AS
    SELECT id AS subscriber_id, tags, attributes FROM subscriptions.subscriber;
GRANT SELECT ON subscriptions.published_merge_values TO broadsheet_delivery;

-- The attributes that an author may use as merge fields.
CREATE VIEW subscriptions.published_attributes AS
    SELECT name, type FROM subscriptions.attribute WHERE removed_at IS NULL;
GRANT SELECT ON subscriptions.published_attributes TO broadsheet_publishing;

REVOKE ALL ON FUNCTION publishing.count_compiled_version, publishing.compile_as_written FROM PUBLIC;
