"""SQL that settles or reopens many chunks of an issue in one bounded transaction of its caller's."""

from collections.abc import Sequence
from typing import Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.queue.chunk_counts_sql import COUNTERS, counted

CHUNKS_A_ROUND_MAX = 20
"""At most 10,000 deliveries a transaction."""
MAILS_A_ROUND_MAX = 1000


class PickedChunks(msgspec.Struct, frozen=True):
    """Chunks that this transaction has locked, and the deliveries in them that it is about."""

    ids: list[int]
    last_first_seq: int
    seqs: list[int]


async def recount_chunks(
    connection: AsyncConnection, *, ids: Sequence[int], status: Literal["pending", "uncertain"]
) -> None:
    """`done` if every delivery has an outcome, else `status`; leases end."""
    await connection.execute(
        sa.text(f"""
            UPDATE delivery.delivery_chunk AS chunk
               SET {COUNTERS},
                   status = CASE WHEN counted.settled = chunk.last_seq - chunk.first_seq + 1
                                 THEN 'done' ELSE CAST(:status AS text) END,
                   parked_at = CASE WHEN counted.settled < chunk.last_seq - chunk.first_seq + 1
                                     AND CAST(:status AS text) = 'uncertain' THEN chunk.parked_at END,
                   run_at = CASE WHEN CAST(:status AS text) = 'pending' THEN now() ELSE chunk.run_at END,
                   lease_token = NULL, lease_until = NULL
              FROM (
                SELECT ranged.id, counted.*
                  FROM delivery.delivery_chunk AS ranged
                 CROSS JOIN LATERAL {counted("SELECT ranged.issue_id, ranged.first_seq, ranged.last_seq")}
                 WHERE ranged.id = ANY (CAST(:ids AS bigint[]))
              ) AS counted
             WHERE chunk.id = counted.id
        """),  # built from constants
        {"ids": list(ids), "status": status},
    )


async def pick_parked_chunks(connection: AsyncConnection, *, issue_id: int) -> PickedChunks:
    """Some parked chunks of the issue, and their deliveries that have no outcome and were not handed over."""
    return await _pick(
        connection,
        """
            SELECT chunk.id, chunk.first_seq FROM delivery.delivery_chunk AS chunk
             WHERE chunk.issue_id = :issue_id AND chunk.status <> 'done'
               AND chunk.status = 'uncertain' AND chunk.parked_at IS NOT NULL AND chunk.first_seq > :after_first_seq
             ORDER BY chunk.first_seq LIMIT :limit FOR UPDATE
        """,
        "outcome.seq IS NULL",
        issue_id=issue_id,
        after_first_seq=0,
    )


async def pick_failed_chunks(connection: AsyncConnection, *, issue_id: int, after_first_seq: int) -> PickedChunks:
    """Some chunks after `after_first_seq` without a call under way, and the deliveries in them that failed.

    Not those that an operator gave up.
    """
    return await _pick(
        connection,
        """
            SELECT chunk.id, chunk.first_seq FROM delivery.delivery_chunk AS chunk
             WHERE chunk.issue_id = :issue_id AND chunk.first_seq > :after_first_seq
               AND chunk.failed_count > 0 AND chunk.status IN ('done', 'pending')
             ORDER BY chunk.first_seq LIMIT :limit FOR UPDATE
        """,
        "outcome.outcome = 'failed' AND outcome.decision_id IS NULL",
        issue_id=issue_id,
        after_first_seq=after_first_seq,
    )


async def _pick(
    connection: AsyncConnection, chunks_sql: str, deliveries_sql: str, *, issue_id: int, after_first_seq: int
) -> PickedChunks:
    picked = (
        await connection.execute(
            sa.text(chunks_sql),
            {"issue_id": issue_id, "after_first_seq": after_first_seq, "limit": CHUNKS_A_ROUND_MAX},
        )
    ).all()
    if not picked:
        return PickedChunks([], after_first_seq, [])
    ids = [row.id for row in picked]
    seqs = await connection.execute(
        sa.text(f"""
            SELECT wanted.seq
              FROM delivery.delivery_chunk AS chunk
             CROSS JOIN LATERAL generate_series(chunk.first_seq, chunk.last_seq) AS wanted (seq)
              LEFT JOIN LATERAL (
                   SELECT found.seq, found.outcome, found.decision_id FROM delivery.delivery_outcome AS found
                    WHERE found.issue_id = :issue_id AND found.seq = wanted.seq LIMIT 1
              ) AS outcome ON true
             WHERE chunk.id = ANY (CAST(:ids AS bigint[])) AND {deliveries_sql}
               AND wanted.seq <> ALL (ARRAY (
                   SELECT alone.seq FROM delivery.single_mail AS alone WHERE alone.issue_id = :issue_id))
             ORDER BY wanted.seq
        """),  # one of two constants above
        {"ids": ids, "issue_id": issue_id},
    )
    return PickedChunks(ids, max(row.first_seq for row in picked), list(seqs.scalars()))


async def cancel_waiting_chunks(connection: AsyncConnection, *, issue_id: int) -> int:
    """Cancel pending deliveries in some chunks for which no call was begun. Returns how many chunks."""
    picked = await connection.execute(
        sa.text("""
            SELECT id FROM delivery.delivery_chunk
             WHERE issue_id = :issue_id AND status <> 'done' AND status IN ('pending', 'leased')
             ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
        """),
        {"issue_id": issue_id, "limit": CHUNKS_A_ROUND_MAX},
    )
    ids = list(picked.scalars())
    if not ids:
        return 0
    await connection.execute(
        sa.text("""
            INSERT INTO delivery.delivery_outcome (issue_id, seq, outcome, reason)
            SELECT :issue_id, waiting.seq, 'cancelled', 'The issue was cancelled.'
              FROM delivery.delivery_chunk AS chunk
             CROSS JOIN LATERAL generate_series(chunk.first_seq, chunk.last_seq) AS waiting (seq)
             WHERE chunk.id = ANY (CAST(:ids AS bigint[]))
               AND waiting.seq <> ALL (ARRAY (
                   SELECT alone.seq FROM delivery.single_mail AS alone WHERE alone.issue_id = :issue_id))
            ON CONFLICT DO NOTHING
        """).bindparams(sa.bindparam("issue_id", type_=sa.BigInteger)),
        {"issue_id": issue_id, "ids": ids},
    )
    await recount_chunks(connection, ids=ids, status="pending")
    return len(ids)


async def cancel_waiting_mails(connection: AsyncConnection, *, issue_id: int) -> int:
    """The same for deliveries in the single-mail lane. Returns how many."""
    cancelled = await connection.execute(
        sa.text("""
            WITH picked AS MATERIALIZED (
                SELECT id FROM delivery.single_mail
                 WHERE issue_id = :issue_id AND status IN ('pending', 'leased')
                 ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
            ), cancelled AS (
                UPDATE delivery.single_mail
                   SET status = 'cancelled', settled_at = now(), reason = 'The issue was cancelled.',
                       lease_token = NULL, lease_until = NULL
                 WHERE id = ANY (ARRAY (SELECT id FROM picked))
                RETURNING issue_id, seq, reason
            ), told AS (
                INSERT INTO delivery.delivery_outcome (issue_id, seq, outcome, reason)
                SELECT issue_id, seq, 'cancelled', reason FROM cancelled
                ON CONFLICT DO NOTHING
            )
            SELECT count(*) FROM cancelled
        """),
        {"issue_id": issue_id, "limit": MAILS_A_ROUND_MAX},
    )
    return int(cancelled.scalar_one())


async def issues_to_cancel(connection: AsyncConnection, *, limit: int) -> list[int]:
    """Cancelled issues with something to cancel: a chunk or mail for which no call was begun."""
    rows = await connection.execute(
        sa.text("""
            SELECT run.issue_id FROM delivery.issue_run AS run
             WHERE run.state = 'cancelled' AND run.finished_at IS NULL
               -- Those of which everything is under way, uncertain or parked have nothing to be cancelled, perhaps
               -- for weeks: they must not stand before the others.
               AND (EXISTS (SELECT 1 FROM delivery.delivery_chunk AS chunk
                             WHERE chunk.issue_id = run.issue_id AND chunk.status <> 'done'
                               AND chunk.status IN ('pending', 'leased'))
                    OR EXISTS (SELECT 1 FROM delivery.single_mail AS mail
                                WHERE mail.issue_id = run.issue_id AND mail.status IN ('pending', 'leased')))
             ORDER BY run.issue_id LIMIT :limit
        """),
        {"limit": limit},
    )
    return list(rows.scalars())
