"""The queue's first version, frozen: the statements of its workers, for running an old process beside a new one.

Copied from revision 0001's code; never to be updated. They name the columns of 0001 and no others.
"""

import uuid

from harness.seeding import Seed

_CLAIM = """
    WITH picked AS MATERIALIZED (
        SELECT chunk.id FROM delivery.delivery_chunk AS chunk
         WHERE chunk.issue_id = %s AND chunk.status = 'pending' AND chunk.run_at <= now()
         ORDER BY chunk.id LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    UPDATE delivery.delivery_chunk AS chunk
       SET status = 'leased', lease_token = %s, lease_until = now() + interval '8 s'
      FROM delivery.issue_run AS run
     WHERE chunk.id = ANY (ARRAY (SELECT id FROM picked)) AND run.issue_id = chunk.issue_id AND run.state = 'open'
    RETURNING chunk.id, chunk.first_seq, chunk.last_seq
"""
_START = """
    UPDATE delivery.delivery_chunk AS chunk
       SET status = 'attempting', attempt_id = %s, attempt_count = chunk.attempt_count + 1,
           reconcile_count = 0, lease_until = now() + interval '8 s'
      FROM delivery.issue_run AS run, delivery.sending_state AS sending
     WHERE chunk.id = %s AND chunk.status = 'leased' AND chunk.lease_token = %s AND chunk.lease_until > now()
       AND run.issue_id = chunk.issue_id AND run.state = 'open'
       AND sending.paused_at IS NULL AND sending.back_off_until <= now()
    RETURNING 1
"""
_ATTEMPT = """
    INSERT INTO delivery.send_attempt (id, lane, message_stream, issue_id, chunk_id, replica_id, message_count)
    VALUES (%s, 'newsletter', 'broadcast', %s, %s, %s, %s)
"""
_OUTCOMES = """
    INSERT INTO delivery.delivery_outcome (issue_id, seq, outcome, attempt_id, message_id, error_code, reason)
    SELECT %s, seq, 'accepted', %s, message_id, NULL, NULL
      FROM unnest(%s::integer[], %s::uuid[]) AS settled (seq, message_id)
    ON CONFLICT DO NOTHING
"""
_END = """
    INSERT INTO delivery.send_attempt_end (attempt_id, verdict, http_status, error_code, detail, accepted_count)
    VALUES (%s, 'answered', 200, NULL, NULL, %s) ON CONFLICT DO NOTHING
"""
_RECORD = """
    UPDATE delivery.delivery_chunk AS chunk
       SET accepted_count = counted.accepted, failed_count = 0, suppressed_count = 0, excluded_count = 0,
           cancelled_count = 0, handed_over_count = 0, status = 'done', run_at = now(),
           lease_token = NULL, lease_until = NULL
      FROM (SELECT count(*) AS accepted FROM delivery.delivery_outcome
             WHERE issue_id = %s AND seq BETWEEN %s AND %s) AS counted
     WHERE chunk.id = %s AND chunk.status = 'attempting' AND chunk.lease_token = %s
    RETURNING 1
"""
_HEARTBEAT = """
    INSERT INTO delivery.replica AS known (id, host, pid, version, draining, stopped_at)
    VALUES (%s, 'old-host', 1, '0.1.0', false, NULL)
    ON CONFLICT (id) DO UPDATE SET seen_at = now()
"""


class OldWorker:
    """Claims, starts and records as the first version did; the call between is the test's."""

    def __init__(self, seed: Seed) -> None:
        self._seed = seed
        self._replica_id = uuid.uuid4()
        self._token = uuid.uuid4()
        self.attempt_id = uuid.uuid4()
        self.issue_id = self.chunk_id = self.first_seq = self.last_seq = 0
        seed.execute(_HEARTBEAT, (self._replica_id,))

    def claim(self, issue_id: int) -> bool:
        rows = self._seed.execute(_CLAIM, (issue_id, self._token))
        if not rows:
            return False
        self.issue_id = issue_id
        self.chunk_id, self.first_seq, self.last_seq = (int(str(value)) for value in rows[0])
        return True

    def start(self) -> bool:
        started = self._seed.execute(_START, (self.attempt_id, self.chunk_id, self._token)) != []
        if started:
            count = self.last_seq - self.first_seq + 1
            self._seed.execute(_ATTEMPT, (self.attempt_id, self.issue_id, self.chunk_id, self._replica_id, count))
        return started

    def record(self, message_ids: list[uuid.UUID]) -> bool:
        """Record that all were accepted; False: another worker has the chunk."""
        seqs = list(range(self.first_seq, self.last_seq + 1))
        self._seed.execute(_OUTCOMES, (self.issue_id, self.attempt_id, seqs, message_ids))
        self._seed.execute(_END, (self.attempt_id, len(message_ids)))
        return (
            self._seed.execute(_RECORD, (self.issue_id, self.first_seq, self.last_seq, self.chunk_id, self._token))
            != []
        )
