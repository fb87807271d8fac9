"""SQL of attempts: append-only records that a call began and how it ended."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.process.redaction import redact
from broadsheet_delivery.tables import send_attempt

Lane = Literal["newsletter", "single", "canary"]
Verdict = Literal["answered", "not_sent", "uncertain", "reconciled"]


async def insert_attempt(
    connection: AsyncConnection,
    *,
    attempt_id: uuid.UUID,
    lane: Lane,
    stream: str,
    replica_id: uuid.UUID,
    message_count: int,
    issue_id: int | None = None,
    chunk_id: int | None = None,
    seqs: Sequence[int] = (),
) -> None:
    """`seqs`: the deliveries of the issue that the call carries, in order; a run without gaps is stored as its two
    ends.
    """
    gapless = bool(seqs) and seqs[-1] - seqs[0] + 1 == len(seqs)
    await connection.execute(
        send_attempt.insert().values(
            id=attempt_id,
            lane=lane,
            message_stream=stream,
            issue_id=issue_id,
            chunk_id=chunk_id,
            replica_id=replica_id,
            message_count=message_count,
            first_seq=seqs[0] if seqs else None,
            last_seq=seqs[-1] if seqs else None,
            seqs=list(seqs) if seqs and not gapless else None,
        )
    )


async def insert_attempt_end(
    connection: AsyncConnection,
    *,
    attempt_id: uuid.UUID,
    verdict: Verdict,
    http_status: int | None = None,
    error_code: int | None = None,
    detail: str | None = None,
    accepted_count: int = 0,
) -> None:
    """Record how the call ended. The first record stands."""
    await connection.execute(
        sa.text("""
            INSERT INTO delivery.send_attempt_end (attempt_id, verdict, http_status, error_code, detail, accepted_count)
            VALUES (:attempt_id, :verdict, :http_status, :error_code, :detail, :accepted_count)
            ON CONFLICT DO NOTHING
        """).bindparams(sa.bindparam("attempt_id", type_=pg.UUID)),
        {
            "attempt_id": attempt_id,
            "verdict": verdict,
            "http_status": http_status,
            "error_code": error_code,
            # Postmark's text may contain addresses, and attempts are never changed, so it is not stored.
            "detail": None if detail is None else redact(detail),
            "accepted_count": accepted_count,
        },
    )


async def find_canary(
    connection: AsyncConnection, *, stream: str, attempt_id: uuid.UUID, call_timeout: timedelta
) -> uuid.UUID | None:
    """The first attempt on the stream of which Postmark accepted something, and that began after `attempt_id`'s call
    must have ended.
    """
    row = await connection.execute(
        sa.text("""
            SELECT later.id
              FROM delivery.send_attempt AS asked
              JOIN delivery.send_attempt AS later
                ON later.message_stream = :stream AND later.started_at > asked.started_at + :call_timeout
              JOIN delivery.send_attempt_end AS ended ON ended.attempt_id = later.id AND ended.accepted_count > 0
             WHERE asked.id = :attempt_id
             ORDER BY later.started_at
             LIMIT 1
        """).bindparams(sa.bindparam("attempt_id", type_=pg.UUID), sa.bindparam("call_timeout", type_=sa.Interval)),
        {"stream": stream, "attempt_id": attempt_id, "call_timeout": call_timeout},
    )
    found: uuid.UUID | None = row.scalar_one_or_none()
    return found


async def canary_is_wanted(
    connection: AsyncConnection, *, stream: str, attempt_id: uuid.UUID, call_timeout: timedelta
) -> bool:
    """Whether to send a canary mail now for the attempt: one can serve it, and none that could is still under way.

    One canary serves all attempts that wait for it. If it is lost or refused, another follows after the call's
    time-out. None is sent while sending is paused or backing off.
    """
    row = await connection.execute(
        sa.text("""
            SELECT asked.started_at + :call_timeout < now()
                   AND sending.paused_at IS NULL AND sending.back_off_until <= now()
                   AND NOT EXISTS (
                       SELECT 1 FROM delivery.send_attempt AS canary
                        WHERE canary.message_stream = :stream AND canary.lane = 'canary'
                          AND canary.started_at > greatest(asked.started_at + :call_timeout, now() - :call_timeout))
              FROM delivery.send_attempt AS asked, delivery.sending_state AS sending
             WHERE asked.id = :attempt_id
        """).bindparams(sa.bindparam("attempt_id", type_=pg.UUID), sa.bindparam("call_timeout", type_=sa.Interval)),
        {"stream": stream, "attempt_id": attempt_id, "call_timeout": call_timeout},
    )
    return bool(row.scalar_one())


async def raise_accepted_count(connection: AsyncConnection, *, attempt_id: uuid.UUID, found: int) -> None:
    """Count the mails found to be accepted in a call that was recorded as uncertain."""
    await connection.execute(
        sa.text("""
            UPDATE delivery.send_attempt_end SET accepted_count = :found
             WHERE attempt_id = :attempt_id AND accepted_count < :found
        """).bindparams(sa.bindparam("attempt_id", type_=pg.UUID)),
        {"attempt_id": attempt_id, "found": found},
    )
