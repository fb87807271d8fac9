-- Imports: files of people, stored, read by a background job, and possibly undone.

CREATE TABLE subscriptions.import_job (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    newsletter_id bigint NOT NULL,
    status text NOT NULL DEFAULT 'uploading' CHECK (status IN (
        'uploading', 'queued', 'running', 'checked', 'done', 'failed', 'cancelled', 'undoing', 'undone')),
    failure text,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- On what legal ground these people get mail: with subscription.import_id, the consent record of the imported.
    consent_basis text NOT NULL CHECK (length(consent_basis) BETWEEN 1 AND 2000),
    given_state text NOT NULL CHECK (given_state IN ('pending', 'confirmed')),
    existing text NOT NULL CHECK (existing IN ('skip', 'fill', 'overwrite')),
    added_tags text[] NOT NULL DEFAULT '{}',
    dry_run boolean NOT NULL,
    -- What each column is, by its title. NULL: to be guessed.
    given_mapping jsonb,

    -- The file, known when all of it has been uploaded.
    file_format text CHECK (file_format IN ('csv', 'xlsx')),
    file_bytes bigint NOT NULL DEFAULT 0,
    file_sha256 bytea,
    encoding text,
    file_removed_at timestamptz,
    -- What was found when it was opened.
    delimiter text,
    columns text[],
    mapping jsonb,

    -- A dry run and each start are a run; rows of an earlier run no longer count.
    run_number integer NOT NULL DEFAULT 0,
    lease_token uuid,
    lease_until timestamptz,
    failure_count integer NOT NULL DEFAULT 0,
    started_at timestamptz,
    finished_at timestamptz,

    undo_step text CHECK (undo_step IN ('restore', 'remove')),
    undo_after_id bigint NOT NULL DEFAULT 0,
    undo_restored bigint NOT NULL DEFAULT 0,
    undo_removed bigint NOT NULL DEFAULT 0,
    -- Left unchanged, by reason.
    undo_kept jsonb NOT NULL DEFAULT '{}',
    CHECK ((lease_token IS NULL) = (lease_until IS NULL))
);
CREATE INDEX import_job_to_do ON subscriptions.import_job (id) WHERE status IN ('queued', 'running', 'undoing');

-- The progress of a run. Two lanes, each with the addresses of one half, store at the same time; a lane's position
-- moves in the transaction that stores the rows before it. Its token refuses the writes of a worker whose lease another
-- one has.
CREATE TABLE subscriptions.import_lane (
    import_id bigint NOT NULL REFERENCES subscriptions.import_job (id),
    lane smallint NOT NULL,
    lease_token uuid,
    -- Everything of this lane before this byte, record and line is stored.
    byte_offset bigint NOT NULL DEFAULT 0,
    record_number bigint NOT NULL DEFAULT 0,
    line_number bigint NOT NULL DEFAULT 0,
    row_count bigint NOT NULL DEFAULT 0,
    created_count bigint NOT NULL DEFAULT 0,
    updated_count bigint NOT NULL DEFAULT 0,
    unchanged_count bigint NOT NULL DEFAULT 0,
    rejected_count bigint NOT NULL DEFAULT 0,
    duplicate_count bigint NOT NULL DEFAULT 0,
    unsubscribed_count bigint NOT NULL DEFAULT 0,
    suppressed_count bigint NOT NULL DEFAULT 0,
    too_many_tags_count bigint NOT NULL DEFAULT 0,
    -- The subscribers that this lane has created, over all runs, are between these ids, with few others: an undo finds
    -- them without an index over every subscriber's import.
    first_added_id bigint,
    last_added_id bigint,
    PRIMARY KEY (import_id, lane),
    CHECK ((first_added_id IS NULL) = (last_added_id IS NULL)),
    -- No row is lost, and none is counted twice.
    CHECK (row_count = created_count + updated_count + unchanged_count + rejected_count
           + duplicate_count + unsubscribed_count + suppressed_count + too_many_tags_count)
);

CREATE TABLE subscriptions.import_piece (
    import_id bigint NOT NULL REFERENCES subscriptions.import_job (id),
    position integer NOT NULL,
    content bytea NOT NULL CHECK (length(content) <= 1048576),
    PRIMARY KEY (import_id, position)
);
-- A spreadsheet is compressed already, and compressing other files would cost more than the disk space that they take
-- for a while.
ALTER TABLE subscriptions.import_piece ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE subscriptions.import_reject (
    import_id bigint NOT NULL REFERENCES subscriptions.import_job (id),
    run_number integer NOT NULL,
    record_number bigint NOT NULL,
    line_number bigint NOT NULL,
    -- The address key, if the address can be read, so that an erasure finds the row.
    email_key text COLLATE "C",
    reason text NOT NULL,
    cells jsonb NOT NULL,
    PRIMARY KEY (import_id, run_number, record_number)
);
CREATE INDEX import_reject_by_address ON subscriptions.import_reject (email_key) WHERE email_key IS NOT NULL;

-- Subscribers of a run who existed before. `before` and `after` hold what it changed; both are NULL where it changed
-- nothing.
CREATE TABLE subscriptions.import_person (
    import_id bigint NOT NULL REFERENCES subscriptions.import_job (id),
    subscriber_id bigint NOT NULL REFERENCES subscriptions.subscriber (id) ON DELETE CASCADE,
    before jsonb,
    after jsonb,
    PRIMARY KEY (import_id, subscriber_id),
    CHECK ((before IS NULL) = (after IS NULL))
);
CREATE INDEX import_person_by_subscriber ON subscriptions.import_person (subscriber_id);

-- Hashes of the addresses that a dry run has read, so that it counts a repeated address as the real run would.
CREATE TABLE subscriptions.import_seen (
    import_id bigint NOT NULL REFERENCES subscriptions.import_job (id),
    run_number integer NOT NULL,
    address_hash uuid NOT NULL,
    PRIMARY KEY (import_id, run_number, address_hash)
);

-- One row for all replicas: it limits how fast imported people who are pending get their confirmation mails.
CREATE TABLE subscriptions.import_mail_pace (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    next_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO subscriptions.import_mail_pace DEFAULT VALUES;

-- The import that created or confirmed the subscription. Not a foreign key: it would be looked up for each of a
-- million.
ALTER TABLE subscriptions.subscription ADD COLUMN import_id bigint;
-- squawk-ignore require-concurrent-index-creation -- no subscription has one yet
CREATE INDEX subscription_to_ask ON subscriptions.subscription (import_id, id)
    WHERE import_id IS NOT NULL AND state = 'pending' AND confirmation_queued_at IS NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON subscriptions.import_job, subscriptions.import_lane, subscriptions.import_piece,
    subscriptions.import_reject, subscriptions.import_person, subscriptions.import_seen, subscriptions.import_mail_pace
    TO broadsheet_subscriptions;
