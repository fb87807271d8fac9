"""Whether a welcome mail may go out on its newsletter's stream: what an issue's preflight asks, before the call."""

from typing import assert_never

from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.preflight.verdict import AccountRefused, NoSuchStream, NotAsked, Stream, mismatch
from broadsheet_delivery.suppressions.interface import extend_to_stream
from broadsheet_delivery.throttle.interface import pause_sending


async def why_not_on(context: DeliveryContext, *, stream: str, handling: str) -> str | None:
    """None: mail may go. A check that passed stands for a while. A refused account pauses all sending."""
    if context.preflights.stands(stream, handling):
        return None
    answer = await context.postmark.read_stream(stream)
    match answer:
        case Stream():
            reason = mismatch(answer, handling)
            if reason is None:
                async with context.engine.begin() as connection:
                    await extend_to_stream(connection, stream=stream)
                context.preflights.passed(stream, handling)
            return reason
        case NoSuchStream(why):
            return f"Postmark does not show the stream '{stream}': {why}"
        case AccountRefused(why):
            async with context.engine.begin() as connection:
                await pause_sending(connection, reason=why)
            return why
        case NotAsked(why):
            return why
        case _:
            assert_never(answer)
