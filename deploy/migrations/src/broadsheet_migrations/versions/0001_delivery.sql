-- Newsletter lane -----------------------------------------------------------------------------------------------

-- One row for each issue whose sending has begun.
CREATE TABLE delivery.issue_run (
    issue_id bigint PRIMARY KEY,
    newsletter_id bigint NOT NULL,
    -- open: its chunks may be claimed; paused: not at the moment; finished: every delivery is settled.
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'paused', 'cancelled', 'finished')),
    pause_reason text,
    next_seq integer NOT NULL DEFAULT 1,
    fan_out_finished_at timestamptz,
    opened_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    traceparent text NOT NULL,
    CHECK ((state = 'paused') = (pause_reason IS NOT NULL)),
    CHECK (state <> 'finished' OR (fan_out_finished_at IS NOT NULL AND finished_at IS NOT NULL))
);
CREATE INDEX issue_run_unfinished ON delivery.issue_run (issue_id) WHERE state IN ('open', 'paused');

-- One immutable row for each issue and subscriber; seq numbers the deliveries of an issue from 1 without gaps.
-- Partitioned by issue so that a large issue can have a partition of its own, dropped whole when it is old.
CREATE TABLE delivery.delivery (
    issue_id bigint NOT NULL,
    seq integer NOT NULL,
    subscriber_id bigint NOT NULL,
    PRIMARY KEY (issue_id, seq),
    UNIQUE (issue_id, subscriber_id)
) PARTITION BY LIST (issue_id);
CREATE TABLE delivery.delivery_part_default PARTITION OF delivery.delivery DEFAULT;

-- Append-only: the one final outcome of a delivery.
CREATE TABLE delivery.delivery_outcome (
    issue_id bigint NOT NULL,
    seq integer NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('accepted', 'failed', 'suppressed', 'excluded', 'cancelled')),
    attempt_id uuid,
    message_id uuid,
    error_code integer,
    reason text,
    settled_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (issue_id, seq),
    CHECK (outcome = 'accepted' OR reason IS NOT NULL)
) PARTITION BY LIST (issue_id);
CREATE TABLE delivery.delivery_outcome_part_default PARTITION OF delivery.delivery_outcome DEFAULT;

-- A run of at most 500 deliveries of one issue: one Postmark batch call. Only chunks are leased and updated.
CREATE TABLE delivery.delivery_chunk (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    issue_id bigint NOT NULL REFERENCES delivery.issue_run (issue_id),
    first_seq integer NOT NULL,
    last_seq integer NOT NULL,
    -- pending: waiting until run_at; leased: a worker prepares it; attempting: a call may be under way; uncertain: a
    -- call may have sent it, Postmark is to be asked; done: every delivery has its outcome.
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'leased', 'attempting', 'uncertain', 'done')),
    attempt_count integer NOT NULL DEFAULT 0,
    run_at timestamptz NOT NULL DEFAULT now(),
    lease_token uuid,
    lease_until timestamptz,
    attempt_id uuid,
    accepted_count integer NOT NULL DEFAULT 0,
    failed_count integer NOT NULL DEFAULT 0,
    suppressed_count integer NOT NULL DEFAULT 0,
    excluded_count integer NOT NULL DEFAULT 0,
    cancelled_count integer NOT NULL DEFAULT 0,
    -- How often the search was asked about the uncertain call: the next wait grows with it.
    reconcile_count integer NOT NULL DEFAULT 0,
    -- Deliveries handed over to the single-mail lane; counted there until they settle.
    handed_over_count integer NOT NULL DEFAULT 0,
    CHECK (last_seq >= first_seq AND last_seq - first_seq < 500),
    CHECK ((status IN ('leased', 'attempting')) = (lease_token IS NOT NULL AND lease_until IS NOT NULL)),
    CHECK (status NOT IN ('attempting', 'uncertain') OR attempt_id IS NOT NULL),
    CHECK (
        accepted_count + failed_count + suppressed_count + excluded_count + cancelled_count + handed_over_count
        <= last_seq - first_seq + 1
    ),
    CHECK (
        status <> 'done'
        OR accepted_count + failed_count + suppressed_count + excluded_count + cancelled_count + handed_over_count
         = last_seq - first_seq + 1
    ),
    UNIQUE (issue_id, first_seq)
);
CREATE INDEX delivery_chunk_claimable ON delivery.delivery_chunk (issue_id, id) WHERE status = 'pending';
CREATE INDEX delivery_chunk_leases ON delivery.delivery_chunk (lease_until) WHERE status IN ('leased', 'attempting');
CREATE INDEX delivery_chunk_uncertain ON delivery.delivery_chunk (run_at) WHERE status = 'uncertain';
CREATE INDEX delivery_chunk_unsettled ON delivery.delivery_chunk (issue_id) WHERE status <> 'done';

-- Single-mail lane ----------------------------------------------------------------------------------------------

CREATE TABLE delivery.single_mail (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- 'newsletter' is a delivery of an issue that was handed over to this lane; its content is the issue's.
    kind text NOT NULL CHECK (kind IN ('confirmation', 'password_reset', 'test', 'newsletter')),
    dedupe_key text NOT NULL UNIQUE,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN (
        'pending', 'leased', 'attempting', 'uncertain', 'accepted', 'failed', 'suppressed', 'excluded', 'cancelled', 'expired'
    )),
    to_email text,
    subject text,
    html_body text,
    text_body text,
    issue_id bigint REFERENCES delivery.issue_run (issue_id),
    seq integer,
    attempt_count integer NOT NULL DEFAULT 0,
    run_at timestamptz NOT NULL DEFAULT now(),
    lease_token uuid,
    lease_until timestamptz,
    attempt_id uuid,
    reconcile_count integer NOT NULL DEFAULT 0,
    message_id uuid,
    error_code integer,
    reason text,
    traceparent text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    settled_at timestamptz,
    CHECK ((kind = 'newsletter') = (issue_id IS NOT NULL AND seq IS NOT NULL)),
    CHECK (kind = 'newsletter' OR to_email IS NOT NULL),
    CHECK ((status IN ('leased', 'attempting')) = (lease_token IS NOT NULL AND lease_until IS NOT NULL)),
    CHECK (status NOT IN ('attempting', 'uncertain') OR attempt_id IS NOT NULL),
    -- A settled mail keeps no body: it may hold a token.
    CHECK (
        (status IN ('pending', 'leased', 'attempting', 'uncertain') AND settled_at IS NULL)
        OR (status NOT IN ('pending', 'leased', 'attempting', 'uncertain') AND settled_at IS NOT NULL
            AND html_body IS NULL AND text_body IS NULL)
    )
);
-- Transactional mail has an index of its own: however many newsletter mails wait, it is found at once.
CREATE INDEX single_mail_transactional ON delivery.single_mail (run_at, id)
    WHERE status = 'pending' AND kind <> 'newsletter';
CREATE INDEX single_mail_newsletter ON delivery.single_mail (run_at, id)
    WHERE status = 'pending' AND kind = 'newsletter';
CREATE INDEX single_mail_leases ON delivery.single_mail (lease_until) WHERE status IN ('leased', 'attempting');
CREATE INDEX single_mail_uncertain ON delivery.single_mail (run_at) WHERE status = 'uncertain';
CREATE INDEX single_mail_by_issue ON delivery.single_mail (issue_id, status) WHERE issue_id IS NOT NULL;

-- Facts, append-only --------------------------------------------------------------------------------------------

-- Committed before the call: from here on the mails may have been sent.
CREATE TABLE delivery.send_attempt (
    id uuid PRIMARY KEY,
    -- canary: a mail of our own that shows whether the search is up to date (see reconcile).
    lane text NOT NULL CHECK (lane IN ('newsletter', 'single', 'canary')),
    message_stream text NOT NULL,
    issue_id bigint,
    chunk_id bigint,
    replica_id uuid NOT NULL,
    message_count integer NOT NULL CHECK (message_count BETWEEN 1 AND 500),
    started_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX send_attempt_by_chunk ON delivery.send_attempt (chunk_id) WHERE chunk_id IS NOT NULL;
CREATE INDEX send_attempt_by_stream ON delivery.send_attempt (message_stream, started_at);

-- How the call ended, once it did.
CREATE TABLE delivery.send_attempt_end (
    attempt_id uuid PRIMARY KEY,
    verdict text NOT NULL CHECK (verdict IN ('answered', 'not_sent', 'uncertain', 'reconciled')),
    http_status smallint,
    error_code integer,
    detail text,
    accepted_count integer NOT NULL DEFAULT 0,
    ended_at timestamptz NOT NULL DEFAULT now()
);

-- State of the whole --------------------------------------------------------------------------------------------

CREATE TABLE delivery.suppression (
    message_stream text NOT NULL,
    email_key text NOT NULL,
    reason text NOT NULL,
    source text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (message_stream, email_key)
);

-- One row for all replicas: what holds sending back, if anything does.
CREATE TABLE delivery.sending_state (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    paused_at timestamptz,
    pause_reason text,
    -- No call starts before this moment: a back-off that every replica obeys.
    back_off_until timestamptz NOT NULL DEFAULT '-infinity',
    back_off_count integer NOT NULL DEFAULT 0,
    CHECK ((paused_at IS NULL) = (pause_reason IS NULL))
);
INSERT INTO delivery.sending_state DEFAULT VALUES;

-- A process that sends, by an id of its own that no other process ever has. Rows are kept after the process has ended.
CREATE TABLE delivery.replica (
    id uuid PRIMARY KEY,
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    draining boolean NOT NULL DEFAULT false,
    stopped_at timestamptz
);
CREATE INDEX replica_seen ON delivery.replica (seen_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA delivery TO broadsheet_delivery;
