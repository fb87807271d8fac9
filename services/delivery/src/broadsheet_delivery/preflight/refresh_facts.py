"""What publishing may know of a newsletter at Postmark before an issue is sent, and of a stream before it is set, on
its request.

Delivery alone has the token. The token of a server can read its streams, but not the account's sender signatures: so
whether a sender is confirmed is known only from what became of mail, and else unknown.
"""

from typing import assert_never

from broadsheet_common.process.database import may_be_the_items_fault
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.preflight.fact_store import (
    RequestedFact,
    RequestedStream,
    due_facts,
    due_streams,
    store_fact,
    store_stream,
)
from broadsheet_delivery.preflight.verdict import AccountRefused, NoSuchStream, NotAsked, Stream, mismatch

FACTS_A_ROUND_MAX = 5
"""Each may wait for an answer of Postmark's."""


async def refresh_facts(context: DeliveryContext) -> int:
    """One bounded round. Returns how many streams and newsletters were looked at. Nothing is paused here, whatever is
    found.
    """
    async with context.engine.connect() as connection:
        streams = await due_streams(connection, limit=FACTS_A_ROUND_MAX)
        due = await due_facts(connection, limit=FACTS_A_ROUND_MAX)
    held = context.set_asides.of("delivery.preflight_facts")
    # First those that somebody waits for.
    for one in streams:
        try:
            state, reason = await _look_at(context, one.stream, one.handling)
        except Exception as error:
            if not may_be_the_items_fault(error):
                raise
            held.hold(f"stream {one.stream}", error)
            state, reason = "unknown", f"The check itself failed ({type(error).__name__})."
        else:
            held.forget(f"stream {one.stream}")
        await _store_stream(context, one, state, reason)
    for asked in due:
        key = f"newsletter {asked.newsletter_id}"
        try:
            await _refresh(context, asked)
        except Exception as error:
            if not may_be_the_items_fault(error):
                raise
            held.hold(key, error)
            async with context.engine.begin() as connection:
                reason = f"The check itself failed ({type(error).__name__})."
                await store_fact(connection, asked, stream_state="unknown", stream_reason=reason)
        else:
            held.forget(key)
    return len(streams) + len(due)


async def _look_at(context: DeliveryContext, stream: str, handling: str) -> tuple[str, str | None]:
    """`fits`, `mismatch` or `unknown`, and why."""
    answer = await context.postmark.read_stream(stream)
    match answer:
        case Stream():
            reason = mismatch(answer, handling)
            return ("fits" if reason is None else "mismatch"), reason
        case NoSuchStream(why):
            return "mismatch", f"Postmark does not show the stream '{stream}': {why}"
        case AccountRefused(why) | NotAsked(why):
            return "unknown", why
        case _:
            assert_never(answer)


async def _store_stream(context: DeliveryContext, asked: RequestedStream, state: str, reason: str | None) -> None:
    async with context.engine.begin() as connection:
        await store_stream(connection, asked, state=state, reason=reason)


async def _refresh(context: DeliveryContext, asked: RequestedFact) -> None:
    state, reason = await _look_at(context, asked.stream, asked.handling)
    async with context.engine.begin() as connection:
        await store_fact(connection, asked, stream_state=state, stream_reason=reason)
