-- Scheduled issues.

ALTER TABLE publishing.issue
    ADD COLUMN scheduled_at timestamptz,
    -- What the author chose, if it was a local time: 'YYYY-MM-DDTHH:MM:SS' in this zone.
    ADD COLUMN scheduled_local text,
    ADD COLUMN scheduled_time_zone text,
    -- Why it is a draft again, if it was due and could not be published.
    ADD COLUMN schedule_note text;
ALTER TABLE publishing.issue
    ADD CONSTRAINT issue_scheduled_has_a_time CHECK (status <> 'scheduled' OR scheduled_at IS NOT NULL) NOT VALID,
    ADD CONSTRAINT issue_local_time_has_a_zone
        CHECK ((scheduled_local IS NULL) = (scheduled_time_zone IS NULL)) NOT VALID;
-- squawk-ignore require-concurrent-index-creation -- empty: nothing could be scheduled before
CREATE INDEX issue_due ON publishing.issue (scheduled_at, id) WHERE status = 'scheduled';
