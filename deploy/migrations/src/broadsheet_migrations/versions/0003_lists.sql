-- What is stored about a subscriber beside the address and the name, and the indexes and tables for lists and segments.

-- Attributes and tags -------------------------------------------------------------------------------------------

-- The attributes that this installation has: a subscriber's `attributes` hold values of these alone.
CREATE TABLE subscriptions.attribute (
    name text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_]{0,62}$'),
    type text NOT NULL CHECK (type IN ('text', 'number', 'boolean', 'date')),
    label text NOT NULL CHECK (length(label) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Deleted: nobody sees or sets it any more. Its values are removed from the subscribers, then the row as well.
    removed_at timestamptz,
    -- Subscribers up to this id have lost their value.
    removed_to_id bigint NOT NULL DEFAULT 0
);

ALTER TABLE subscriptions.subscriber
    -- By attribute name: text as a string, number as a number, boolean as a boolean, date as 'YYYY-MM-DD'.
    ADD COLUMN attributes jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN tags text[] NOT NULL DEFAULT '{}';
GRANT SELECT, INSERT, UPDATE, DELETE ON subscriptions.attribute TO broadsheet_subscriptions;

-- Who has a tag, in the order of ids: the inverse of `subscriber.tags`. A GIN index cannot be walked in order, so a
-- page of a tag that half of all people have would have to gather and sort them. Written only by the triggers below.
CREATE TABLE subscriptions.subscriber_tag (
    tag text COLLATE "C" NOT NULL,
    subscriber_id bigint NOT NULL,
    PRIMARY KEY (tag, subscriber_id)
);
GRANT SELECT ON subscriptions.subscriber_tag TO broadsheet_subscriptions;

CREATE FUNCTION subscriptions.index_new_tags() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- One tag cannot be there twice; to look for that among a million would cost a tenth of their import.
    INSERT INTO subscriptions.subscriber_tag (tag, subscriber_id)
    SELECT added.tags[1], added.id FROM added WHERE cardinality(added.tags) = 1
    UNION ALL
    SELECT DISTINCT one.tag, added.id FROM added CROSS JOIN unnest(added.tags) AS one (tag)
     WHERE cardinality(added.tags) > 1;
    RETURN NULL;
END
$$;
CREATE TRIGGER subscriber_tags_added AFTER INSERT ON subscriptions.subscriber
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION subscriptions.index_new_tags();

CREATE FUNCTION subscriptions.index_changed_tags() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM subscriptions.subscriber_tag WHERE tag = ANY (OLD.tags) AND subscriber_id = OLD.id;
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO subscriptions.subscriber_tag (tag, subscriber_id)
        SELECT DISTINCT one.tag, NEW.id FROM unnest(NEW.tags) AS one (tag);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER subscriber_tags_changed AFTER UPDATE OF tags ON subscriptions.subscriber
    FOR EACH ROW WHEN (OLD.tags IS DISTINCT FROM NEW.tags) EXECUTE FUNCTION subscriptions.index_changed_tags();
CREATE TRIGGER subscriber_tags_removed AFTER DELETE ON subscriptions.subscriber
    FOR EACH ROW WHEN (OLD.tags <> '{}') EXECUTE FUNCTION subscriptions.index_changed_tags();

-- Lists ---------------------------------------------------------------------------------------------------------

-- Prefixes are found, and pages walked, in the order of bytes, whatever collation the database has. Addresses are in
-- that order in the index that keeps them unique.
-- A name may be longer than an index entry; searches are at most 64 characters long.
-- squawk-ignore require-concurrent-index-creation -- a second or two a million rows, in which sign-ups wait
CREATE INDEX subscriber_by_name ON subscriptions.subscriber ((left(lower(name), 64)) COLLATE "C", id);
-- squawk-ignore require-concurrent-index-creation -- as above
CREATE INDEX subscriber_by_last_name
    ON subscriptions.subscriber ((left(lower(split_part(name, ' ', -1)), 64)) COLLATE "C", id)
    WHERE strpos(name, ' ') > 0;
-- The confirmed are in `subscription_audience`.
-- squawk-ignore require-concurrent-index-creation -- as above
CREATE INDEX subscription_unconfirmed ON subscriptions.subscription (newsletter_id, state, subscriber_id)
    WHERE state <> 'confirmed';
-- These two hold the people of a newsletter in order. So the constraint that keeps a subscription unique can begin with
-- the subscriber and serve as the index by subscriber as well: each of a million imported rows pays for every index.
-- squawk-ignore require-concurrent-index-creation -- as above
CREATE UNIQUE INDEX subscription_subscriber_id_newsletter_id_key
    ON subscriptions.subscription (subscriber_id, newsletter_id);
-- squawk-ignore ban-drop-constraint -- the same one stands above, the columns in the other order
ALTER TABLE subscriptions.subscription DROP CONSTRAINT subscription_newsletter_id_subscriber_id_key;
ALTER TABLE subscriptions.subscription ADD CONSTRAINT subscription_subscriber_id_newsletter_id_key
    UNIQUE USING INDEX subscription_subscriber_id_newsletter_id_key;
-- squawk-ignore require-concurrent-index-deletion -- the table is locked by now, and dropping takes no time
DROP INDEX subscriptions.subscription_by_subscriber;

-- Segments ------------------------------------------------------------------------------------------------------

CREATE TABLE subscriptions.segment (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
    -- A tree as the API accepts it (broadsheet_subscriptions.segments.filter).
    filter jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- The audience of an issue to a segment: the tree as it was when the issue was published, and then its members. A
-- background loop of subscriptions finds them, one range of ids in each transaction; publishing waits for completed_at.
CREATE TABLE subscriptions.audience (
    issue_id bigint PRIMARY KEY,
    newsletter_id bigint NOT NULL,
    segment_id bigint NOT NULL,
    filter jsonb NOT NULL,
    frozen_at timestamptz NOT NULL DEFAULT now(),
    next_block bigint NOT NULL DEFAULT 0,
    member_count bigint NOT NULL DEFAULT 0,
    completed_at timestamptz,
    -- The issue is fanned out: the members are deleted, the count and the tree stay.
    released_at timestamptz,
    run_at timestamptz NOT NULL DEFAULT now(),
    failure_count integer NOT NULL DEFAULT 0
);
CREATE INDEX audience_open ON subscriptions.audience (run_at) WHERE completed_at IS NULL;

-- One bit for each subscriber: bit n of block b is subscriber b * 8192 + n. A kilobyte stays in its row, uncompressed,
-- so that reading a bit costs no more than reading a column.
CREATE TABLE subscriptions.audience_block (
    issue_id bigint NOT NULL REFERENCES subscriptions.audience (issue_id) ON DELETE CASCADE,
    block bigint NOT NULL,
    members bit(8192) NOT NULL,
    PRIMARY KEY (issue_id, block)
);
ALTER TABLE subscriptions.audience_block ALTER COLUMN members SET STORAGE PLAIN;

GRANT SELECT, INSERT, UPDATE, DELETE ON subscriptions.segment, subscriptions.audience, subscriptions.audience_block
   TO broadsheet_subscriptions;

-- Freeze a segment for an issue, in the transaction that publishes it. False: there is no such segment.
CREATE FUNCTION subscriptions.request_audience(for_issue_id bigint, for_newsletter_id bigint, for_segment_id bigint)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO subscriptions.audience (issue_id, newsletter_id, segment_id, filter)
    SELECT for_issue_id, for_newsletter_id, segment.id, segment.filter
      FROM subscriptions.segment WHERE segment.id = for_segment_id;
    RETURN FOUND;
END
$$;

-- The issue is fanned out, or cancelled: its members are not needed any more, and no more are looked for.
CREATE FUNCTION subscriptions.release_audience(for_issue_id bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- The row first: a step that is writing blocks holds it.
    UPDATE subscriptions.audience
       SET released_at = coalesce(released_at, now()), completed_at = coalesce(completed_at, now())
     WHERE issue_id = for_issue_id;
    DELETE FROM subscriptions.audience_block WHERE issue_id = for_issue_id;
END
$$;
REVOKE ALL ON FUNCTION subscriptions.index_new_tags, subscriptions.index_changed_tags,
    subscriptions.request_audience, subscriptions.release_audience FROM PUBLIC;
GRANT EXECUTE ON FUNCTION subscriptions.request_audience, subscriptions.release_audience TO broadsheet_publishing;

CREATE VIEW subscriptions.published_segments AS
    SELECT id AS segment_id, name FROM subscriptions.segment;
CREATE VIEW subscriptions.published_complete_audiences AS
    SELECT issue_id, member_count FROM subscriptions.audience WHERE completed_at IS NOT NULL;
CREATE VIEW subscriptions.published_audience_blocks AS
    SELECT issue_id, block, members FROM subscriptions.audience_block;
GRANT SELECT ON subscriptions.published_segments, subscriptions.published_complete_audiences,
    subscriptions.published_audience_blocks TO broadsheet_publishing;

ALTER TABLE publishing.issue ADD COLUMN segment_id bigint;
ALTER TABLE publishing.fan_out ADD COLUMN is_segmented boolean NOT NULL DEFAULT false;
-- Segments that an issue still needs; a published one has its own copy.
CREATE VIEW publishing.published_segment_uses AS
    SELECT id AS issue_id, segment_id FROM publishing.issue
     WHERE segment_id IS NOT NULL AND status IN ('draft', 'scheduled');
GRANT SELECT ON publishing.published_segment_uses TO broadsheet_subscriptions;

-- Engagement ----------------------------------------------------------------------------------------------------

-- Who received, opened or clicked: by issue, and by day over all issues (UTC). Bits as in audience_block; rolled up in
-- the background, and kept after deliveries and events were removed. The id of an erased subscriber identifies nobody:
-- ids are never used again.
CREATE TABLE delivery.issue_engagement (
    issue_id bigint NOT NULL,
    event text NOT NULL CHECK (event IN ('received', 'opened', 'clicked')),
    block bigint NOT NULL,
    members bit(8192) NOT NULL,
    PRIMARY KEY (issue_id, event, block)
);
CREATE TABLE delivery.daily_engagement (
    event text NOT NULL CHECK (event IN ('received', 'opened', 'clicked')),
    day date NOT NULL,
    block bigint NOT NULL,
    members bit(8192) NOT NULL,
    PRIMARY KEY (event, day, block)
);
ALTER TABLE delivery.issue_engagement ALTER COLUMN members SET STORAGE PLAIN;
ALTER TABLE delivery.daily_engagement ALTER COLUMN members SET STORAGE PLAIN;

-- Opens and clicks to be rolled up, many in one update of a block. A trigger fills it in the transaction that records
-- the event, so that nothing depends on which version of the service recorded it.
CREATE TABLE delivery.engagement_queue (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event text NOT NULL,
    issue_id bigint NOT NULL,
    seq integer NOT NULL,
    day date NOT NULL
);
CREATE FUNCTION delivery.enqueue_engagement() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO delivery.engagement_queue (event, issue_id, seq, day)
    SELECT CASE recorded.record_type WHEN 'Open' THEN 'opened' ELSE 'clicked' END, recorded.issue_id, recorded.seq,
           (recorded.occurred_at AT TIME ZONE 'UTC')::date
      FROM recorded WHERE recorded.record_type IN ('Open', 'Click') AND recorded.issue_id IS NOT NULL;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION delivery.enqueue_engagement FROM PUBLIC;
CREATE TRIGGER provider_event_engagement AFTER INSERT ON delivery.provider_event
    REFERENCING NEW TABLE AS recorded FOR EACH STATEMENT EXECUTE FUNCTION delivery.enqueue_engagement();
INSERT INTO delivery.engagement_queue (event, issue_id, seq, day)
SELECT CASE record_type WHEN 'Open' THEN 'opened' ELSE 'clicked' END, issue_id, seq,
       (occurred_at AT TIME ZONE 'UTC')::date
  FROM delivery.provider_event WHERE record_type IN ('Open', 'Click') AND issue_id IS NOT NULL;

-- How far the acceptances of an issue are rolled up: chunk by chunk while it is sent, and once completely each time it
-- has ended.
CREATE TABLE delivery.engagement_pass (
    issue_id bigint PRIMARY KEY REFERENCES delivery.issue_run (issue_id) ON DELETE CASCADE,
    -- The chunks of an unfinished issue that were done, by their deliveries.
    rolled int4multirange NOT NULL DEFAULT '{}',
    -- The end (finished_at) that the complete pass is for, its position, and the end for which it is complete.
    pass_for timestamptz,
    next_seq integer NOT NULL DEFAULT 1,
    complete_for timestamptz
);
GRANT SELECT, INSERT, UPDATE, DELETE ON delivery.issue_engagement, delivery.daily_engagement,
    delivery.engagement_queue, delivery.engagement_pass TO broadsheet_delivery;

CREATE VIEW delivery.published_issue_engagement AS
    SELECT issue_id, event, block, members FROM delivery.issue_engagement;
CREATE VIEW delivery.published_daily_engagement AS
    SELECT event, day, block, members FROM delivery.daily_engagement;
-- For the preview of an audience: who is excluded, and why.
CREATE VIEW delivery.published_suppressed AS
    SELECT message_stream, email_key FROM delivery.suppression WHERE active;
GRANT SELECT ON delivery.published_issue_engagement, delivery.published_daily_engagement,
    delivery.published_suppressed TO broadsheet_subscriptions;
