-- Who would get an issue, before it is published; and what its author saw of that.

-- A trial is an audience that is counted and never sent: members are found exactly as for an issue. Its number is
-- negative, so that it is no issue's.
CREATE SEQUENCE subscriptions.audience_trial_id AS bigint INCREMENT BY -1 START WITH -1;

-- The trial's number. NULL: there is no such segment. 0: too many trials wait already.
CREATE FUNCTION subscriptions.request_audience_trial(for_newsletter_id bigint, for_segment_id bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    trial_id bigint;
BEGIN
    -- Whoever asks for a trial releases it; these are left from processes that died.
    DELETE FROM subscriptions.audience WHERE issue_id = ANY (ARRAY (
        SELECT issue_id FROM subscriptions.audience
         WHERE issue_id < 0 AND frozen_at < now() - interval '1 hour' FOR UPDATE SKIP LOCKED));
    IF (SELECT count(*) FROM subscriptions.audience WHERE issue_id < 0 AND completed_at IS NULL) >= 20 THEN
        RETURN 0;
    END IF;
    INSERT INTO subscriptions.audience (issue_id, newsletter_id, segment_id, filter)
    SELECT nextval('subscriptions.audience_trial_id'), for_newsletter_id, segment.id, segment.filter
      FROM subscriptions.segment WHERE segment.id = for_segment_id
    RETURNING issue_id INTO trial_id;
    RETURN trial_id;
END
$$;
REVOKE ALL ON FUNCTION subscriptions.request_audience_trial FROM PUBLIC;
GRANT EXECUTE ON FUNCTION subscriptions.request_audience_trial TO broadsheet_publishing;

-- Equal digests are the same tree.
CREATE VIEW subscriptions.published_segment_versions AS
    SELECT id AS segment_id, encode(sha256(convert_to(filter::text, 'UTF8')), 'hex') AS filter_digest, updated_at
      FROM subscriptions.segment;
-- Of issues and of trials.
CREATE VIEW subscriptions.published_audience_requests AS
    SELECT issue_id, newsletter_id, segment_id,
           encode(sha256(convert_to(filter::text, 'UTF8')), 'hex') AS filter_digest, frozen_at, completed_at, released_at
      FROM subscriptions.audience;

-- The confirmed are in published_audience.
CREATE VIEW subscriptions.published_unconfirmed_counts AS
    SELECT newsletter_id, state, count(*) AS subscriptions
      FROM subscriptions.subscription WHERE state <> 'confirmed' GROUP BY newsletter_id, state;
-- How many people were confirmed on a newsletter when they were erased: of them nothing else is kept.
CREATE VIEW subscriptions.published_erased_counts AS
    SELECT newsletter_id, sum(count)::bigint AS people
      FROM (SELECT newsletter_id, count FROM subscriptions.growth_day WHERE change = 'left' AND cause = 'erasure'
             UNION ALL
            SELECT newsletter_id, count FROM subscriptions.growth_queue WHERE change = 'left' AND cause = 'erasure')
           AS erased
     GROUP BY newsletter_id;
GRANT SELECT ON subscriptions.published_segment_versions, subscriptions.published_audience_requests,
    subscriptions.published_unconfirmed_counts, subscriptions.published_erased_counts TO broadsheet_publishing;
GRANT SELECT ON delivery.published_suppressed TO broadsheet_publishing;

-- What the author saw of an issue's audience, and how far it may have changed when the issue is published. It is kept
-- then, with what was found.
CREATE TABLE publishing.audience_expectation (
    issue_id bigint PRIMARY KEY REFERENCES publishing.issue (id) ON DELETE CASCADE,
    shown_count bigint NOT NULL CHECK (shown_count >= 0),
    shown_at timestamptz NOT NULL,
    segment_id bigint,
    filter_digest text,
    -- In people; NULL: any number.
    growth_max bigint CHECK (growth_max >= 0),
    shrinkage_max bigint CHECK (shrinkage_max >= 0),
    -- Of an issue to a segment: whose members are counted when it is published.
    trial_id bigint CHECK (trial_id < 0),
    found_count bigint CHECK (found_count >= 0),
    CHECK ((segment_id IS NULL) = (filter_digest IS NULL))
);
GRANT SELECT, INSERT, UPDATE, DELETE ON publishing.audience_expectation TO broadsheet_publishing;
