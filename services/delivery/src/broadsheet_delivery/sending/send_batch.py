"""The call itself, the same for both lanes. It is made only if the lease outlives it, and it is measured."""

import asyncio
import time
import uuid
from collections.abc import Sequence

import msgspec

from broadsheet_common.process.database import is_database_unavailable
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.postmark.boot_clock import boot_time_s
from broadsheet_delivery.postmark.call_result import Answered, CallResult, NotSent, Unknown
from broadsheet_delivery.postmark.error_class import ErrorClass
from broadsheet_delivery.sending.place import Place
from broadsheet_delivery.settings import LEASE_MARGIN_S
from broadsheet_delivery.throttle.interface import note_unknown

LEASE_TOO_SHORT = "The call was not begun: too little of the lease was left."


async def send_batch(
    context: DeliveryContext,
    encoded: Sequence[bytes],
    *,
    lease_began_s: float,
    token: uuid.UUID,
    place: Place | None = None,
) -> CallResult:
    """Make the call that `start_…` committed to.

    `lease_began_s` was read (`boot_time_s`) before the transaction that set the lease, so the lease ends later
    than we think. A process that was stopped for a while (SIGSTOP, a suspended machine) notices here and makes no
    call. `token` is the lease's. A call that becomes slow gives up `place`.

    The call's time limit counts from `lease_began_s` too, because reconciliation counts from the attempt's begin;
    a stop between here and the call shortens the time. With less than half of it left no call is made: it would
    probably end as uncertain.
    """
    call_timeout_s = context.call_timeout.total_seconds()
    gone_s = boot_time_s() - lease_began_s
    if gone_s > min(context.lease.total_seconds() - call_timeout_s - LEASE_MARGIN_S / 2, call_timeout_s / 2):
        return NotSent(ErrorClass.TRANSIENT, LEASE_TOO_SHORT)
    began = time.perf_counter()
    until_s = lease_began_s + call_timeout_s
    result = await _call(context, encoded, until_s, token, place)
    context.metrics.call_s.observe(time.perf_counter() - began)
    match result:
        case Answered():
            context.metrics.calls.labels("answered").inc()
        case NotSent(error_class=error_class, status=status, error_code=code):
            # Codes only: Postmark's texts repeat addresses.
            context.metrics.calls.labels("not_sent").inc()
            context.log.warning("delivery.call_not_sent", error_class=error_class.value, status=status, error_code=code)
        case Unknown(status=status, error_code=code):
            context.metrics.calls.labels("uncertain").inc()
            context.log.warning("delivery.call_uncertain", status=status, error_code=code)
    return result


async def _call(
    context: DeliveryContext, encoded: Sequence[bytes], until_s: float, token: uuid.UUID, place: Place | None
) -> CallResult:
    """The call, watched: once it is slow, all replicas are told, and it goes on without its place."""
    noting: list[asyncio.Task[bool]] = []

    def become_slow() -> None:
        if place is not None:
            place.leave_early()
        noting.append(asyncio.create_task(_note_slow(context, token)))

    watch = asyncio.get_running_loop().call_later(context.slow_call.total_seconds(), become_slow)
    try:
        result = await context.postmark.send_batch(encoded, until_s=until_s)
        noted = [await task for task in noting]
    finally:
        watch.cancel()
        for task in noting:
            task.cancel()
    return msgspec.structs.replace(result, slow=True) if isinstance(result, Unknown) and any(noted) else result


async def _note_slow(context: DeliveryContext, token: uuid.UUID) -> bool:
    """Whether the breaker counted it. If the database is unavailable now, the end of the call is counted instead."""
    slow_s = context.slow_call.total_seconds()
    context.log.warning("delivery.call_slow", after_s=slow_s)
    try:
        async with context.engine.begin() as connection:
            await note_unknown(
                context, connection, token=token, reason=f"A call took longer than {slow_s:g} s.", slow=True
            )
    except Exception as error:
        if not is_database_unavailable(error):
            raise
        context.log.warning("delivery.call_slow_unrecorded", error=type(error).__name__)
        return False
    return True


def slows_everyone(result: NotSent) -> bool:
    """Whether a refused call means that all replicas should back off."""
    return result.error_class is ErrorClass.TRANSIENT and result.reason != LEASE_TOO_SHORT
