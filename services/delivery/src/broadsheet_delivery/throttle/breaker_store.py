"""What calls report to all replicas about Postmark: the circuit breaker and adaptive concurrency.

The breaker opens at once when Postmark certainly refused for now (the next call would meet the same), and after
DELIVERY_BREAKER_FAILURES unknown outcomes in a row, because each of those has to be reconciled. When its wait is
over it is half-open: one probe call at a time (see `permit_store`). A success closes it, a failure opens it for
longer.

Concurrency follows AIMD: it is halved by a 429 or a slow call, at most once a round, starting from the calls that
were under way; a success adds one a round; when it exceeds what the live replicas would use, it becomes NULL,
which means no limit. Without trouble nothing here writes.
"""

import uuid
from datetime import timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.postmark.call_result import NotSent
from broadsheet_delivery.throttle.back_off import shared_wait_s
from broadsheet_delivery.throttle.permit_store import CALLS_UNDER_WAY, left_when_slow

_TOO_MANY_REQUESTS: Final = 429


async def note_answered(connection: AsyncConnection, *, token: uuid.UUID) -> None:
    """A call succeeded."""
    await connection.execute(
        sa.text("""
            UPDATE delivery.sending_state
               SET back_off_count = CASE WHEN back_off_until <= now() OR probe_token = :token
                                         THEN 0 ELSE back_off_count END,
                   -- A probe that was given up as slow and then succeeded ends the wait that it began.
                   back_off_until = CASE WHEN probe_token = :token THEN '-infinity' ELSE back_off_until END,
                   breaker_reason = CASE WHEN back_off_until <= now() OR probe_token = :token
                                         THEN NULL ELSE breaker_reason END,
                   probe_until = CASE WHEN back_off_until <= now() OR probe_token = :token
                                      THEN NULL ELSE probe_until END,
                   probe_token = CASE WHEN back_off_until <= now() OR probe_token = :token
                                      THEN NULL ELSE probe_token END,
                   failure_count = 0,
                   concurrency = CASE WHEN concurrency + 1 / concurrency < (
                            SELECT coalesce(sum(coalesce(replica.concurrent_calls, 4)), 0)
                              FROM delivery.replica
                             WHERE replica.stopped_at IS NULL AND NOT replica.draining
                               AND replica.seen_at > now() - interval '30 seconds')
                        THEN concurrency + 1 / concurrency END
             WHERE failure_count > 0 OR concurrency IS NOT NULL
                OR (back_off_count > 0 AND (back_off_until <= now() OR probe_token = :token))
        """).bindparams(sa.bindparam("token", type_=pg.UUID)),
        {"token": token},
    )


async def note_refused(context: DeliveryContext, connection: AsyncConnection, result: NotSent) -> None:
    """Postmark was unreachable or answered 429: every replica backs off.

    Calls that fail while the breaker is open belong to the same round and do not lengthen it.
    """
    row = await connection.execute(
        sa.text("SELECT back_off_count FROM delivery.sending_state WHERE back_off_until <= now() FOR UPDATE")
    )
    openings = row.scalar_one_or_none()
    if openings is None:
        return
    if result.status == _TOO_MANY_REQUESTS:
        await _lower_concurrency(context, connection)
    await _open(context, connection, openings, reason=result.reason, retry_after_s=result.retry_after_s)


async def note_unknown(
    context: DeliveryContext, connection: AsyncConnection, *, token: uuid.UUID, reason: str, slow: bool = False
) -> None:
    """A call whose outcome is unknown, or that is under way for too long (`slow`), counts as one failure."""
    row = await connection.execute(
        sa.text("""
            SELECT back_off_count, failure_count, coalesce(probe_token = :token, false) AS probed,
                   back_off_until <= now() AS due,
                   coalesce(concurrency_lowered_at <= now() - :slow_call, true) AS may_lower
              FROM delivery.sending_state FOR UPDATE
        """).bindparams(sa.bindparam("token", type_=pg.UUID), sa.bindparam("slow_call", type_=sa.Interval)),
        {"token": token, "slow_call": context.slow_call},
    )
    state = row.one()
    if slow and state.may_lower:
        await _lower_concurrency(context, connection)
    if not state.due:
        return
    if state.back_off_count > 0:
        # Half-open: only the probe counts. Older calls fail for the reason that opened the breaker.
        if state.probed:
            await _open(context, connection, state.back_off_count, reason=reason)
    elif state.failure_count + 1 >= context.breaker_failures:
        await _open(context, connection, state.back_off_count, reason=reason)
    else:
        await connection.execute(sa.text("UPDATE delivery.sending_state SET failure_count = failure_count + 1"))


async def _open(
    context: DeliveryContext,
    connection: AsyncConnection,
    openings: int,
    *,
    reason: str,
    retry_after_s: float | None = None,
) -> None:
    # The probe's token is kept: if that call succeeds after all, it still closes the breaker.
    wait_s = shared_wait_s(openings, context.random, retry_after_s=retry_after_s)
    await connection.execute(
        sa.text("""
            UPDATE delivery.sending_state
               SET back_off_until = now() + :wait, back_off_count = back_off_count + 1, breaker_reason = :reason,
                   failure_count = 0, probe_until = NULL
        """).bindparams(sa.bindparam("wait", type_=sa.Interval)),
        {"wait": timedelta(seconds=wait_s), "reason": reason},
    )
    context.log.warning("delivery.breaker_opened", openings=openings + 1, wait_s=round(wait_s, 3))


async def _lower_concurrency(context: DeliveryContext, connection: AsyncConnection) -> None:
    await connection.execute(
        sa.text(f"""
            UPDATE delivery.sending_state
               SET concurrency = greatest(1, coalesce(concurrency, under_way.calls) / 2), concurrency_lowered_at = now()
              FROM {CALLS_UNDER_WAY} AS under_way
        """).bindparams(sa.bindparam("left_when_slow", type_=sa.Interval)),  # a constant
        {"left_when_slow": left_when_slow(context.lease, context.slow_call)},
    )
