-- What a stream of events may know of subscriptions: what waits for a person there.

-- Endpoints to which the last attempt failed, and those that were disabled because of it. Their addresses stay here:
-- they may hold secrets.
CREATE VIEW subscriptions.published_failing_webhooks AS
    SELECT id AS endpoint_id, failing_since, disabled_at IS NOT NULL AS disabled
      FROM subscriptions.webhook_endpoint
     WHERE deleted_at IS NULL AND (failing_since IS NOT NULL OR disabled_at IS NOT NULL);

-- One row for each import, so thousands at most: built within milliseconds, and within this migration.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX import_job_ended ON subscriptions.import_job (finished_at) WHERE finished_at IS NOT NULL;

-- Imports of the last week that failed or left rows out.
CREATE VIEW subscriptions.published_imports_with_rejects AS
    SELECT job.id AS import_id, job.newsletter_id, job.status, lanes.rejected, job.finished_at
      FROM subscriptions.import_job AS job
     CROSS JOIN LATERAL (
           SELECT coalesce(sum(lane.rejected_count), 0) AS rejected
             FROM subscriptions.import_lane AS lane WHERE lane.import_id = job.id
     ) AS lanes
     WHERE job.finished_at > now() - interval '7 days'
       AND (job.status = 'failed' OR (job.status IN ('checked', 'done') AND lanes.rejected > 0));

GRANT SELECT ON subscriptions.published_failing_webhooks, subscriptions.published_imports_with_rejects
    TO broadsheet_delivery;
