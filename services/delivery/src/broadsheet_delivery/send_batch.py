"""The call itself, the same for both lanes: made only while the lease can outlive it, and measured."""

import time
from collections.abc import Sequence

from broadsheet_delivery.call_result import Answered, CallResult, NotSent, Unknown
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.error_class import ErrorClass
from broadsheet_delivery.settings import LEASE_MARGIN_S

LEASE_TOO_SHORT = "The call was not begun: too little of the lease was left."


async def send_batch(
    context: DeliveryContext, encoded: Sequence[bytes], *, lease_began_monotonic_s: float
) -> CallResult:
    """Send what `start_…` committed to.

    `lease_began_monotonic_s` was read before the transaction that set the lease, so the lease ends later than we
    think. A process that was stopped for a while (SIGSTOP, a paused machine) notices here and makes no call.
    """
    left_s = lease_began_monotonic_s + context.lease.total_seconds() - time.monotonic()
    if left_s < context.call_timeout.total_seconds() + LEASE_MARGIN_S / 2:
        return NotSent(ErrorClass.TRANSIENT, LEASE_TOO_SHORT)
    began = time.perf_counter()
    result = await context.postmark.send_batch(encoded)
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


def slows_everyone(result: NotSent) -> bool:
    """Whether a refused call means that all replicas should hold back."""
    return result.error_class is ErrorClass.TRANSIENT and result.reason != LEASE_TOO_SHORT
