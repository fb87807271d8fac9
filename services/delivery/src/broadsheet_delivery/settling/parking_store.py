"""SQL of parked deliveries: uncertain for so long that an operator may decide about them."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.queue.interface import Settled, SettledMail, settle_mails

OVERDUE_A_ROUND_MAX: Final = 500


async def park_all_overdue(connection: AsyncConnection, *, deadline: timedelta, limit: int) -> int:
    """Park up to `limit` uncertain chunks, and as many newsletter mails, whose calls began before the deadline.

    Returns how many. The time at which each is asked about next does not change.
    """
    rows = await connection.execute(
        sa.text("""
            WITH old_chunks AS MATERIALIZED (
                SELECT chunk.id FROM delivery.delivery_chunk AS chunk
                  JOIN delivery.send_attempt AS attempt ON attempt.id = chunk.attempt_id
                 WHERE chunk.status = 'uncertain' AND chunk.parked_at IS NULL
                   AND attempt.started_at <= now() - :deadline
                 ORDER BY chunk.run_at LIMIT :limit FOR UPDATE OF chunk SKIP LOCKED
            ), chunks AS (
                UPDATE delivery.delivery_chunk SET parked_at = now()
                 WHERE id = ANY (ARRAY (SELECT id FROM old_chunks)) RETURNING id
            ), old_mails AS MATERIALIZED (
                SELECT mail.id FROM delivery.single_mail AS mail
                  JOIN delivery.send_attempt AS attempt ON attempt.id = mail.attempt_id
                 WHERE mail.status = 'uncertain' AND mail.kind = 'newsletter' AND mail.parked_at IS NULL
                   AND attempt.started_at <= now() - :deadline
                 ORDER BY mail.run_at LIMIT :limit FOR UPDATE OF mail SKIP LOCKED
            ), mails AS (
                UPDATE delivery.single_mail SET parked_at = now()
                 WHERE id = ANY (ARRAY (SELECT id FROM old_mails)) RETURNING id
            )
            SELECT (SELECT count(*) FROM chunks) + (SELECT count(*) FROM mails)
        """).bindparams(sa.bindparam("deadline", type_=sa.Interval)),
        {"deadline": deadline, "limit": limit},
    )
    return int(rows.scalar_one())


async def park_uncertain(
    connection: AsyncConnection, *, attempt_id: uuid.UUID, chunk_id: int | None, wait_s: float
) -> int:
    """Park what is still uncertain of one call: its chunk, or its newsletter mails. Returns how many were newly
    parked.

    A transactional mail is never parked: it is sent again once the search has answered.
    """
    rows = await connection.execute(
        sa.text("""
            WITH old AS MATERIALIZED (
                SELECT id, parked_at IS NULL AS anew FROM delivery.delivery_chunk
                 WHERE id = :chunk_id AND status = 'uncertain' AND attempt_id = :attempt_id FOR UPDATE
            ), chunk AS (
                UPDATE delivery.delivery_chunk SET parked_at = coalesce(parked_at, now()), run_at = now() + :wait
                 WHERE id = ANY (ARRAY (SELECT id FROM old))
            ), alone AS MATERIALIZED (
                SELECT id, parked_at IS NULL AS anew FROM delivery.single_mail
                 WHERE CAST(:chunk_id AS bigint) IS NULL AND status = 'uncertain' AND attempt_id = :attempt_id
                   AND kind = 'newsletter' FOR UPDATE
            ), mail AS (
                UPDATE delivery.single_mail SET parked_at = coalesce(parked_at, now()), run_at = now() + :wait
                 WHERE id = ANY (ARRAY (SELECT id FROM alone))
            )
            SELECT (SELECT count(*) FROM old WHERE anew) + (SELECT count(*) FROM alone WHERE anew)
        """).bindparams(
            sa.bindparam("attempt_id", type_=pg.UUID),
            sa.bindparam("chunk_id", type_=sa.BigInteger),
            sa.bindparam("wait", type_=sa.Interval),
        ),
        {"attempt_id": attempt_id, "chunk_id": chunk_id, "wait": timedelta(seconds=wait_s)},
    )
    return int(rows.scalar_one())


async def settle_waiting_alone(
    connection: AsyncConnection, *, issue_id: int, attempt_id: uuid.UUID, settled: Sequence[Settled]
) -> None:
    """Those of these deliveries that wait in the single-mail lane are settled, and not sent again."""
    if not settled:
        return
    outcomes = {one.seq: one.outcome for one in settled}
    rows = await connection.execute(
        sa.text("""
            SELECT id, seq FROM delivery.single_mail
             WHERE issue_id = :issue_id AND status IN ('pending', 'uncertain') AND seq = ANY (CAST(:seqs AS integer[]))
               FOR UPDATE
        """),
        {"issue_id": issue_id, "seqs": list(outcomes)},
    )
    await settle_mails(
        connection, settled=[SettledMail(row.id, outcomes[row.seq]) for row in rows], attempt_id=attempt_id
    )
