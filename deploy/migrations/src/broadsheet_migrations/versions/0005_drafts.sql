-- Drafts: what the author wrote, beside what is mailed; and every version of it.

ALTER TABLE publishing.issue
    -- NULL: the title is the subject.
    ADD COLUMN subject text,
    ADD COLUMN preheader text NOT NULL DEFAULT '',
    ADD COLUMN format text NOT NULL DEFAULT 'markdown',
    -- The source, in `format`. What is mailed is made of it when the issue is published or scheduled.
    ADD COLUMN content text NOT NULL DEFAULT '',
    -- NULL: the newsletter's.
    ADD COLUMN layout_id bigint,
    -- Its part of the address on the web; given at the latest when the issue is published or scheduled.
    ADD COLUMN slug text,
    -- NULL: in the newsletter's archive unless the issue goes to a segment.
    ADD COLUMN in_archive boolean,
    -- Counts the saves.
    ADD COLUMN version bigint NOT NULL DEFAULT 1,
    ADD COLUMN saved_by text NOT NULL DEFAULT '';
-- `text_content` is the author's own plain text now, NULL if the text is made of the content. `html_content` is only
-- for replicas of the version before.
-- squawk-ignore ban-drop-not-null -- a replica of the version before shows such a draft without content, and sends none
ALTER TABLE publishing.issue ALTER COLUMN html_content DROP NOT NULL, ALTER COLUMN text_content DROP NOT NULL;
-- squawk-ignore ban-drop-constraint -- a draft may have no title yet
ALTER TABLE publishing.issue DROP CONSTRAINT issue_title_check;
ALTER TABLE publishing.issue
    ADD CONSTRAINT issue_title CHECK (length(title) <= 2000 AND (title <> '' OR status IN ('draft', 'cancelled')))
        NOT VALID,
    ADD CONSTRAINT issue_format CHECK (format IN ('markdown', 'html', 'mjml', 'text')) NOT VALID,
    ADD CONSTRAINT issue_slug CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,99}$') NOT VALID,
    ADD CONSTRAINT issue_layout FOREIGN KEY (layout_id) REFERENCES publishing.layout (id) NOT VALID;
UPDATE publishing.issue SET format = 'html', content = html_content, saved_by = created_by;
-- squawk-ignore require-concurrent-index-creation -- an installation has some thousand issues
CREATE UNIQUE INDEX issue_slug_once ON publishing.issue (newsletter_id, slug) WHERE slug IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation -- as above
CREATE INDEX issue_by_layout ON publishing.issue (layout_id) WHERE layout_id IS NOT NULL;

-- A replica of the version before writes `html_content`.
CREATE FUNCTION publishing.take_html_content() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.html_content IS NOT NULL AND NEW.content = '' THEN
        NEW.format := 'html';
        NEW.content := NEW.html_content;
        NEW.saved_by := NEW.created_by;
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION publishing.take_html_content FROM PUBLIC;
CREATE TRIGGER take_html_content BEFORE INSERT ON publishing.issue
    FOR EACH ROW EXECUTE FUNCTION publishing.take_html_content();

-- Every save of a draft. The newest are all there; of older ones some are removed (drafts/thin_revisions.py).
CREATE TABLE publishing.issue_revision (
    issue_id bigint NOT NULL REFERENCES publishing.issue (id) ON DELETE CASCADE,
    version bigint NOT NULL,
    title text NOT NULL,
    subject text,
    preheader text NOT NULL,
    format text NOT NULL CHECK (format IN ('markdown', 'html', 'mjml', 'text')),
    content text NOT NULL,
    text_content text,
    layout_id bigint,
    -- Bytes of the texts, so that lists need not read them.
    size_bytes bigint NOT NULL,
    saved_at timestamptz NOT NULL DEFAULT now(),
    saved_by text NOT NULL,
    -- The version that this one restored.
    restored_from bigint,
    PRIMARY KEY (issue_id, version)
);
INSERT INTO publishing.issue_revision
       (issue_id, version, title, preheader, format, content, text_content, size_bytes, saved_at, saved_by)
SELECT id, version, title, '', format, content, text_content,
       octet_length(title) + octet_length(content) + coalesce(octet_length(text_content), 0), created_at, created_by
  FROM publishing.issue WHERE status IN ('draft', 'scheduled');
GRANT SELECT, INSERT, UPDATE, DELETE ON publishing.issue_revision TO broadsheet_publishing;

-- The same for two issues whose mails are the same, but for what differs between readers. Empty: not known.
ALTER TABLE publishing.compiled_content ADD COLUMN digest text NOT NULL DEFAULT '';

-- An author previews an issue as a subscriber of its newsletter gets it.
GRANT SELECT ON subscriptions.published_recipients, subscriptions.published_merge_values TO broadsheet_publishing;

-- Addresses that somebody confirmed by a link in a mail: test mails go to these alone.
CREATE VIEW subscriptions.published_verified_addresses AS
    SELECT person.email_key
      FROM subscriptions.subscriber AS person
     WHERE EXISTS (SELECT FROM subscriptions.subscription AS held
                    WHERE held.subscriber_id = person.id AND held.state = 'confirmed');
GRANT SELECT ON subscriptions.published_verified_addresses TO broadsheet_publishing;
