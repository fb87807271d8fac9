"""What publishing may know of a newsletter at Postmark before an issue is sent, on its request.

Delivery alone has the token. The token of a server can read its streams, but not the account's sender signatures: so
whether a sender is confirmed is known only from what became of mail, and else unknown.
"""

from typing import assert_never

from broadsheet_common.process.database import may_be_the_items_fault
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.preflight.fact_store import RequestedFact, due_facts, store_fact
from broadsheet_delivery.preflight.verdict import AccountRefused, NoSuchStream, NotAsked, Stream, mismatch

FACTS_A_ROUND_MAX = 5
"""Each may wait for an answer of Postmark's."""


async def refresh_facts(context: DeliveryContext) -> int:
    """One bounded round. Returns how many newsletters were looked at. Nothing is paused here, whatever is found."""
    async with context.engine.connect() as connection:
        due = await due_facts(connection, limit=FACTS_A_ROUND_MAX)
    held = context.set_asides.of("delivery.preflight_facts")
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
    return len(due)


async def _refresh(context: DeliveryContext, asked: RequestedFact) -> None:
    answer = await context.postmark.read_stream(asked.stream)
    reason: str | None
    match answer:
        case Stream():
            reason = mismatch(answer, asked.handling)
            state = "fits" if reason is None else "mismatch"
        case NoSuchStream(why):
            state, reason = "mismatch", f"Postmark does not show the stream '{asked.stream}': {why}"
        case AccountRefused(why) | NotAsked(why):
            state, reason = "unknown", why
        case _:
            assert_never(answer)
    async with context.engine.begin() as connection:
        await store_fact(connection, asked, stream_state=state, stream_reason=reason)
