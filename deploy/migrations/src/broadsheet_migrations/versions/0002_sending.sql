-- Limits that all replicas obey, and the check of an issue before it starts.

-- The circuit breaker's state is in existing columns: open while back_off_until is in the future; half-open when it has
-- passed and back_off_count still counts the openings; closed when that is 0.
ALTER TABLE delivery.sending_state
    -- Set by an operator; NULL: no limit.
    ADD COLUMN messages_per_s_max double precision CHECK (messages_per_s_max > 0),
    ADD COLUMN concurrent_calls_max integer CHECK (concurrent_calls_max >= 1),
    -- The rate's clock (GCRA): the moment from which the next newsletter call may be claimed.
    ADD COLUMN next_send_at timestamptz NOT NULL DEFAULT '-infinity',
    -- How many calls Postmark can handle at the moment; NULL: nothing limits the replicas.
    ADD COLUMN concurrency double precision CHECK (concurrency >= 1),
    ADD COLUMN concurrency_lowered_at timestamptz,
    -- Uncertain results in a row, over all replicas, while the breaker is closed.
    ADD COLUMN failure_count integer NOT NULL DEFAULT 0,
    ADD COLUMN breaker_reason text,
    -- The one probe call while half-open, and until when it keeps the others from probing.
    ADD COLUMN probe_token uuid,
    ADD COLUMN probe_until timestamptz;

-- What a replica would use if nothing limited it; NULL for a replica of the version before.
ALTER TABLE delivery.replica ADD COLUMN concurrent_calls integer;

ALTER TABLE delivery.issue_run
    -- When Postmark's stream was found to fit the newsletter; NULL: not yet, and nothing of the issue is claimed.
    ADD COLUMN preflight_at timestamptz,
    -- Why Postmark could not be asked the last time, how often, and when it is asked again.
    ADD COLUMN preflight_error text,
    ADD COLUMN preflight_count integer NOT NULL DEFAULT 0,
    ADD COLUMN preflight_due_at timestamptz NOT NULL DEFAULT '-infinity';
