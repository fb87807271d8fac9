"""The sending state, which all replicas follow: paused with a reason, backing off, limited, or running.

It is one row, read in every claim and again when a call is begun, so a pause takes effect on every replica with
its commit.
"""

from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.tables import sending_state
from broadsheet_delivery.throttle.permit_store import CALLS_UNDER_WAY

SendingStateName = Literal["running", "backing_off", "paused"]
BreakerName = Literal["closed", "half_open", "open"]

BREAKER_STATE: Final = """CASE WHEN sending.back_off_until > now() THEN 'open'
                        WHEN sending.back_off_count > 0 THEN 'half_open'
                        ELSE 'closed' END"""
"""SQL for a `BreakerName`; columns of `sending`."""


class SendingState(msgspec.Struct, frozen=True):
    """What stops or limits sending. `back_off_until` is null unless the breaker is open.

    `messages_per_s_max` and `concurrent_calls_max` were set by an operator; `concurrency` is the adaptive number
    of concurrent calls, null for no limit. `breaker` half_open: one probe call at a time. `calls_under_way` are
    those of all replicas that are not slow.
    """

    state: SendingStateName
    reason: str | None
    back_off_until: datetime | None
    messages_per_s_max: float | None
    concurrent_calls_max: int | None
    concurrency: int | None
    breaker: BreakerName
    calls_under_way: int


class SendingLimits(msgspec.Struct, frozen=True):
    """Limits to set; None ends a limit, UNSET leaves it unchanged."""

    messages_per_s_max: float | msgspec.UnsetType | None = msgspec.UNSET
    concurrent_calls_max: int | msgspec.UnsetType | None = msgspec.UNSET


async def read_sending_state(connection: AsyncConnection, *, left_when_slow: timedelta) -> SendingState:
    row = await connection.execute(
        sa.text(f"""
            SELECT sending.pause_reason, sending.breaker_reason, sending.messages_per_s_max,
                   sending.concurrent_calls_max, floor(sending.concurrency)::integer AS concurrency,
                   CASE WHEN sending.back_off_until > now() THEN sending.back_off_until END AS back_off_until,
                   {BREAKER_STATE} AS breaker,
                   under_way.quick_calls AS calls_under_way
              FROM delivery.sending_state AS sending, {CALLS_UNDER_WAY} AS under_way
        """).bindparams(sa.bindparam("left_when_slow", type_=sa.Interval)),  # constants
        {"left_when_slow": left_when_slow},
    )
    found = row.one()
    state, reason = name_sending_state(found.pause_reason, found.breaker, found.breaker_reason)
    return SendingState(
        state,
        reason,
        found.back_off_until if state == "backing_off" else None,
        found.messages_per_s_max,
        found.concurrent_calls_max,
        found.concurrency,
        found.breaker,
        found.calls_under_way,
    )


def name_sending_state(
    pause_reason: str | None, breaker: BreakerName, breaker_reason: str | None
) -> tuple[SendingStateName, str | None]:
    """The state, and the reason why it is not `running`."""
    if pause_reason is not None:
        return "paused", pause_reason
    if breaker != "closed":
        return "backing_off", breaker_reason or "Postmark asked for less, or could not be reached."
    return "running", None


async def lock_limits(connection: AsyncConnection) -> None:
    """Until the transaction ends, nobody else changes them."""
    await connection.execute(sa.text("SELECT FROM delivery.sending_state FOR NO KEY UPDATE"))


async def set_limits(connection: AsyncConnection, limits: SendingLimits) -> None:
    """Takes effect for every claim after the commit. Idle replicas are woken, because a limit may have been raised."""
    values = {name: value for name, value in msgspec.structs.asdict(limits).items() if value is not msgspec.UNSET}
    if not values:
        return
    # Ends the wait that an earlier rate caused; otherwise a raised rate would take effect only after it.
    await connection.execute(
        sa.update(sending_state).values(
            **values, next_send_at=sa.func.least(sending_state.c.next_send_at, sa.func.now())
        )
    )
    await wake_replicas(connection)


async def wake_replicas(connection: AsyncConnection) -> None:
    """With the commit, every idle replica looks for work."""
    await connection.execute(sa.text("SELECT pg_notify('broadsheet_delivery_wake', '')"))


async def pause_sending(connection: AsyncConnection, *, reason: str) -> None:
    """Stop all sending: no call is begun after this commit. The first reason stands until somebody resumes."""
    row = await connection.execute(
        sa.text("""
            UPDATE delivery.sending_state SET paused_at = now(), pause_reason = :reason
             WHERE paused_at IS NULL RETURNING 1
        """),
        {"reason": reason},
    )
    if row.first() is not None:
        await _take_back(connection, issue_id=None)


async def resume_sending(connection: AsyncConnection) -> None:
    """Resume on every replica at once: a back-off ends too, and the breaker is closed."""
    await connection.execute(
        sa.text("""
            UPDATE delivery.sending_state
               SET paused_at = NULL, pause_reason = NULL, back_off_until = '-infinity', back_off_count = 0,
                   failure_count = 0, breaker_reason = NULL, probe_token = NULL, probe_until = NULL
        """)
    )
    # Issues that wait for their preflight are checked now.
    await connection.execute(
        sa.text("""
            UPDATE delivery.issue_run SET preflight_due_at = now()
             WHERE state IN ('open', 'paused') AND preflight_at IS NULL AND preflight_due_at > now()
        """)
    )
    await wake_replicas(connection)


async def pause_issue(connection: AsyncConnection, *, issue_id: int, reason: str) -> bool:
    """No chunk of the issue is claimed or begun after this commit. False: the issue is not open."""
    row = await connection.execute(
        sa.text("""
            UPDATE delivery.issue_run SET state = 'paused', pause_reason = :reason
             WHERE issue_id = :issue_id AND state = 'open' RETURNING 1
        """),
        {"issue_id": issue_id, "reason": reason},
    )
    paused = row.first() is not None
    if paused:
        await _take_back(connection, issue_id=issue_id)
    return paused


async def _take_back(connection: AsyncConnection, *, issue_id: int | None) -> None:
    """Leased chunks and mails whose call is not begun become pending again: those of one issue, or all.

    A start that is in progress is waited for; a later one finds its lease gone. So when the pause commits, every
    call that is still made is already counted as under way.
    """
    for table in ("delivery_chunk", "single_mail"):
        await connection.execute(
            sa.text(f"""
                WITH held AS (
                    SELECT id FROM delivery.{table}
                     WHERE status = 'leased' AND (:issue_id IS NULL OR issue_id = :issue_id)
                     ORDER BY id FOR UPDATE
                )
                UPDATE delivery.{table} AS taken SET status = 'pending', lease_token = NULL, lease_until = NULL
                  FROM held WHERE taken.id = held.id
            """).bindparams(sa.bindparam("issue_id", type_=sa.BigInteger)),  # two constants
            {"issue_id": issue_id},
        )


async def resume_issue(connection: AsyncConnection, *, issue_id: int) -> bool:
    """False: the issue is not paused."""
    row = await connection.execute(
        sa.text("""
            WITH resumed AS (
                UPDATE delivery.issue_run
                   SET state = 'open', pause_reason = NULL,
                       -- What made somebody pause it may have changed at Postmark: it is checked again.
                       preflight_at = NULL, preflight_error = NULL, preflight_count = 0, preflight_due_at = now()
                 WHERE issue_id = :issue_id AND state = 'paused' RETURNING issue_id
            )
            SELECT pg_notify('broadsheet_delivery_wake', issue_id::text) FROM resumed
        """),
        {"issue_id": issue_id},
    )
    return row.first() is not None


async def newsletter_of_issue_run(connection: AsyncConnection, *, issue_id: int) -> int | None:
    result = await connection.execute(
        sa.text("SELECT newsletter_id FROM delivery.issue_run WHERE issue_id = :issue_id"), {"issue_id": issue_id}
    )
    found: int | None = result.scalar_one_or_none()
    return found


async def issue_run_state(connection: AsyncConnection, *, issue_id: int) -> str | None:
    """open, paused, cancelled or finished; None for an issue that was never published."""
    row = await connection.execute(
        sa.text("SELECT state FROM delivery.issue_run WHERE issue_id = :issue_id"), {"issue_id": issue_id}
    )
    state: str | None = row.scalar_one_or_none()
    return state
