-- What readers find on the web.

-- Whether delivery sends an issue, has sent it, or was stopped; without the counts, which cost more.
CREATE VIEW delivery.published_runs AS
    SELECT issue_id, state FROM delivery.issue_run;
GRANT SELECT ON delivery.published_runs TO broadsheet_publishing;

-- The archive's lists, and the way from one issue to the next.
-- squawk-ignore require-concurrent-index-creation -- an installation has some thousand issues
CREATE INDEX issue_by_publication ON publishing.issue (newsletter_id, published_at, id) WHERE status = 'published';
