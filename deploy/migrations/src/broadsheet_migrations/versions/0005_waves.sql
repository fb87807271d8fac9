-- Sending at the same local time everywhere.
ALTER TABLE publishing.issue ADD COLUMN in_reader_time_zone boolean NOT NULL DEFAULT false;

-- The waves of an issue that is published so: fixed when its audience is. `is_fallback`: of those whose time zone is not
-- known.
CREATE TABLE publishing.wave (
    issue_id bigint NOT NULL REFERENCES publishing.issue (id),
    number smallint NOT NULL CHECK (number > 0),
    due_at timestamptz NOT NULL,
    is_fallback boolean NOT NULL DEFAULT false,
    recipients bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (issue_id, number)
);
-- Which wave each time zone is in, by its IANA name in lower case.
CREATE TABLE publishing.wave_zone (
    issue_id bigint NOT NULL,
    time_zone text COLLATE "C" NOT NULL,
    number smallint NOT NULL,
    PRIMARY KEY (issue_id, time_zone),
    FOREIGN KEY (issue_id, number) REFERENCES publishing.wave (issue_id, number)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON publishing.wave, publishing.wave_zone TO broadsheet_publishing;

-- Where each subscriber's clock is, as far as they or the list's owner said.
CREATE VIEW subscriptions.published_time_zones AS
    SELECT id AS subscriber_id, lower(attributes ->> 'time_zone') AS time_zone FROM subscriptions.subscriber;
GRANT SELECT ON subscriptions.published_time_zones TO broadsheet_publishing;
