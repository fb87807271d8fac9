"""The sending state as gauges. Every replica shows the same values, because the state is one row."""

from typing import Final

from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.preflight.interface import count_unchecked_issues
from broadsheet_delivery.throttle.permit_store import left_when_slow
from broadsheet_delivery.throttle.state_store import read_sending_state

_BREAKER_FIGURE: Final = {"closed": 0, "half_open": 1, "open": 2}


async def show_sending_state(context: DeliveryContext) -> None:
    """Set the gauges from the database."""
    async with context.engine.connect() as connection:
        state = await read_sending_state(connection, left_when_slow=left_when_slow(context.lease, context.slow_call))
        unchecked = await count_unchecked_issues(connection)
    metrics = context.metrics
    metrics.sending_paused.set(state.state == "paused")
    metrics.breaker.set(_BREAKER_FIGURE[state.breaker])
    metrics.rate_limit.set(state.messages_per_s_max or 0)
    limits = [limit for limit in (state.concurrent_calls_max, state.concurrency) if limit is not None]
    metrics.calls_limit.set(min(limits, default=0))
    metrics.calls_under_way.set(state.calls_under_way)
    metrics.unchecked_issues.set(unchecked)
