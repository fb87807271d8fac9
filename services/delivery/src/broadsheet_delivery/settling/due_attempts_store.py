"""SQL of the uncertain calls that are due to be asked about.

Every function takes the connection of its caller's transaction.
"""

import uuid
from datetime import timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.queue.interface import ChunkRange

_INTERVALS = [sa.bindparam(name, type_=sa.Interval) for name in ("call_timeout", "floor", "deadline")]


class UncertainAttempt(msgspec.Struct, frozen=True):
    """A call to ask about; `chunk` is None if it carried single mails. Ages are by the database's clock."""

    id: uuid.UUID
    stream: str
    old_enough: bool
    overdue: bool
    searches: int
    chunk: ChunkRange | None


async def take_due_attempts(
    connection: AsyncConnection, *, limit: int, call_timeout: timedelta, floor: timedelta, deadline: timedelta
) -> list[UncertainAttempt]:
    """Take due calls for this round. Their next turn is postponed first, so two replicas rarely ask about the same
    call.
    """
    taking = {"limit": limit, "call_timeout": call_timeout, "floor": floor, "deadline": deadline}
    chunks = await connection.execute(
        sa.text("""
            WITH picked AS MATERIALIZED (
                SELECT id FROM delivery.delivery_chunk
                 WHERE status = 'uncertain' AND run_at <= now()
                 ORDER BY run_at LIMIT :limit FOR UPDATE SKIP LOCKED
            )
            UPDATE delivery.delivery_chunk AS chunk
               SET run_at = now() + :call_timeout
              FROM delivery.send_attempt AS attempt
             WHERE chunk.id = ANY (ARRAY (SELECT id FROM picked)) AND attempt.id = chunk.attempt_id
            RETURNING attempt.id AS attempt_id, attempt.message_stream,
                      attempt.started_at <= now() - :floor AS old_enough,
                      attempt.started_at <= now() - :deadline AS overdue, chunk.reconcile_count,
                      chunk.id, chunk.issue_id, chunk.first_seq, chunk.last_seq
        """).bindparams(*_INTERVALS),
        taking,
    )
    found = [
        UncertainAttempt(
            row.attempt_id,
            row.message_stream,
            row.old_enough,
            row.overdue,
            row.reconcile_count,
            ChunkRange(row.id, row.issue_id, row.first_seq, row.last_seq),
        )
        for row in chunks
    ]
    mails = await connection.execute(
        sa.text("""
            WITH due AS MATERIALIZED (
                SELECT DISTINCT attempt_id FROM (
                    SELECT attempt_id FROM delivery.single_mail
                     WHERE status = 'uncertain' AND run_at <= now()
                     ORDER BY run_at LIMIT 1000
                ) AS waiting LIMIT :limit
            ), put_off AS (
                UPDATE delivery.single_mail AS mail
                   SET run_at = now() + :call_timeout
                 WHERE mail.status = 'uncertain' AND mail.attempt_id = ANY (ARRAY (SELECT attempt_id FROM due))
                RETURNING mail.attempt_id, mail.reconcile_count
            )
            SELECT attempt.id AS attempt_id, attempt.message_stream,
                   attempt.started_at <= now() - :floor AS old_enough,
                   attempt.started_at <= now() - :deadline AS overdue, max(put_off.reconcile_count) AS searches
              FROM put_off JOIN delivery.send_attempt AS attempt ON attempt.id = put_off.attempt_id
             GROUP BY attempt.id
        """).bindparams(*_INTERVALS),
        taking,
    )
    found += [
        UncertainAttempt(row.attempt_id, row.message_stream, row.old_enough, row.overdue, row.searches, None)
        for row in mails
    ]
    return found
