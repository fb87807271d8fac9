"""The one state of sending that all replicas obey: paused with a reason, backing off until a moment, or running.

It is a row of Postgres, read inside every claim and once more when a call is begun, so a pause holds on every replica
from the commit on.
"""

from datetime import datetime, timedelta
from random import Random
from typing import Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.back_off import shared_wait_s

SendingStateName = Literal["running", "backing_off", "paused"]


class SendingState(msgspec.Struct, frozen=True):
    """What holds sending up, if anything does. `back_off_until` is null unless the state is `backing_off`."""

    state: SendingStateName
    reason: str | None
    back_off_until: datetime | None


async def read_sending_state(connection: AsyncConnection) -> SendingState:
    row = await connection.execute(
        sa.text("""
            SELECT pause_reason, CASE WHEN back_off_until > now() THEN back_off_until END AS back_off_until
              FROM delivery.sending_state
        """)
    )
    found = row.one()
    if found.pause_reason is not None:
        return SendingState("paused", found.pause_reason, None)
    if found.back_off_until is not None:
        return SendingState("backing_off", "Postmark asked for less, or could not be reached.", found.back_off_until)
    return SendingState("running", None, None)


async def pause_sending(connection: AsyncConnection, *, reason: str) -> None:
    """Stop everything; the first reason stands until somebody resumes."""
    await connection.execute(
        sa.text("""
            UPDATE delivery.sending_state SET paused_at = now(), pause_reason = :reason WHERE paused_at IS NULL
        """),
        {"reason": reason},
    )


async def resume_sending(connection: AsyncConnection) -> None:
    await connection.execute(
        sa.text("""
            UPDATE delivery.sending_state
               SET paused_at = NULL, pause_reason = NULL, back_off_until = '-infinity', back_off_count = 0
        """)
    )


async def back_off_all(connection: AsyncConnection, random: Random, *, retry_after_s: float | None) -> None:
    """Hold every replica back. Calls that fail while a back-off already runs belong to it and do not lengthen it."""
    row = await connection.execute(
        sa.text("SELECT back_off_count FROM delivery.sending_state WHERE back_off_until <= now() FOR UPDATE")
    )
    rounds = row.scalar_one_or_none()
    if rounds is None:
        return
    await connection.execute(
        sa.text("""
            UPDATE delivery.sending_state SET back_off_until = now() + :wait, back_off_count = back_off_count + 1
        """).bindparams(sa.bindparam("wait", type_=sa.Interval)),
        {"wait": timedelta(seconds=shared_wait_s(rounds, random, retry_after_s=retry_after_s))},
    )


async def end_back_off(connection: AsyncConnection) -> None:
    """A call got through: the next back-off starts small again. Writes nothing when there is nothing to end."""
    await connection.execute(
        sa.text("""
            UPDATE delivery.sending_state SET back_off_count = 0
             WHERE back_off_count > 0 AND back_off_until <= now()
        """)
    )


async def pause_issue(connection: AsyncConnection, *, issue_id: int, reason: str) -> bool:
    """No chunk of the issue is claimed or begun from this commit on. False: the issue is not open."""
    row = await connection.execute(
        sa.text("""
            UPDATE delivery.issue_run SET state = 'paused', pause_reason = :reason
             WHERE issue_id = :issue_id AND state = 'open' RETURNING 1
        """),
        {"issue_id": issue_id, "reason": reason},
    )
    return row.first() is not None


async def resume_issue(connection: AsyncConnection, *, issue_id: int) -> bool:
    """False: the issue is not paused."""
    row = await connection.execute(
        sa.text("""
            WITH resumed AS (
                UPDATE delivery.issue_run SET state = 'open', pause_reason = NULL
                 WHERE issue_id = :issue_id AND state = 'paused' RETURNING issue_id
            )
            SELECT pg_notify('broadsheet_delivery_wake', issue_id::text) FROM resumed
        """),
        {"issue_id": issue_id},
    )
    return row.first() is not None


async def issue_run_state(connection: AsyncConnection, *, issue_id: int) -> str | None:
    """open, paused, cancelled or finished; None for an issue that was never published."""
    row = await connection.execute(
        sa.text("SELECT state FROM delivery.issue_run WHERE issue_id = :issue_id"), {"issue_id": issue_id}
    )
    state: str | None = row.scalar_one_or_none()
    return state
