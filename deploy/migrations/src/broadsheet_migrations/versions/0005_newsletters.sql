-- What an author sets for a newsletter, and layouts of one's own.

CREATE TABLE publishing.layout (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
    format text NOT NULL CHECK (format IN ('html', 'mjml')),
    -- A whole document with one `{{ content }}`.
    source text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT, UPDATE, DELETE ON publishing.layout TO broadsheet_publishing;

ALTER TABLE publishing.newsletter
    ADD COLUMN description text NOT NULL DEFAULT '',
    -- BCP 47; of the mails and of the public pages.
    ADD COLUMN language text NOT NULL DEFAULT 'en',
    ADD COLUMN direction text NOT NULL DEFAULT 'ltr',
    -- IANA; schedules and reports are in it.
    ADD COLUMN time_zone text NOT NULL DEFAULT 'UTC',
    ADD COLUMN accent_colour text NOT NULL DEFAULT '#7a1f1f',
    ADD COLUMN logo_url text,
    ADD COLUMN logo_alt text NOT NULL DEFAULT '',
    -- Empty: the page's own words.
    ADD COLUMN sign_up_heading text NOT NULL DEFAULT '',
    ADD COLUMN sign_up_text text NOT NULL DEFAULT '',
    ADD COLUMN sign_up_button text NOT NULL DEFAULT '',
    -- Off for newsletters that were there before: nobody agreed that their issues are public.
    ADD COLUMN has_archive boolean NOT NULL DEFAULT false,
    -- Search engines are asked not to list the archive.
    ADD COLUMN archive_is_hidden boolean NOT NULL DEFAULT false,
    -- NULL: the layout that ships.
    ADD COLUMN layout_id bigint,
    ADD COLUMN requires_approval boolean NOT NULL DEFAULT false,
    -- Takes no sign-ups and publishes nothing. What was sent stays.
    ADD COLUMN archived_at timestamptz;
ALTER TABLE publishing.newsletter
    ADD CONSTRAINT newsletter_direction CHECK (direction IN ('ltr', 'rtl')) NOT VALID,
    ADD CONSTRAINT newsletter_accent_colour CHECK (accent_colour ~ '^#[0-9a-f]{6}$') NOT VALID,
    ADD CONSTRAINT newsletter_default_is_open CHECK (archived_at IS NULL OR NOT is_default) NOT VALID,
    ADD CONSTRAINT newsletter_layout FOREIGN KEY (layout_id) REFERENCES publishing.layout (id) NOT VALID;
-- squawk-ignore require-concurrent-index-creation -- a handful of rows
CREATE INDEX newsletter_by_layout ON publishing.newsletter (layout_id) WHERE layout_id IS NOT NULL;

CREATE OR REPLACE VIEW publishing.published_newsletters AS
    SELECT id AS newsletter_id, slug, name, is_default, from_name, from_email, reply_to, message_stream,
           unsubscribe_handling, postal_address, allowed_origins, is_listed, sender_version,
           track_opens, track_links, archived_at
      FROM publishing.newsletter;
