"""Finish the erasure of a person in this service: remove them from mails, events and reasons.

Subscriptions erased them and enqueued this in the same commit. Suppressions are stored under the address's hash
from that commit on. Events that Postmark reported before are applied first, so that no outcome is lost; a webhook
that cannot be applied and names the address is dropped.
"""

from typing import Final

from broadsheet_common.http.idempotency import forget_answers
from broadsheet_common.process.database import may_be_the_items_fault
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.erasure.store import (
    Erasure,
    finish_erasure,
    next_erasure,
    put_erasure_off,
    read_failing_events,
    untouched_events,
)
from broadsheet_delivery.events.interface import delete_inbox
from broadsheet_delivery.events.provider_event import names_address
from broadsheet_delivery.tables import idempotency_key
from broadsheet_delivery.throttle.back_off import retry_wait_s

ERASURES_A_ROUND_MAX: Final = 50
PAGE_ROWS: Final = 500
PAGES_MAX: Final = 2_000
_INBOX_WAIT_S: Final = 1.0


async def finish_erasures(context: DeliveryContext) -> int:
    """One bounded round. Returns how many erasures were finished. Any number of replicas may run it."""
    held = context.set_asides.of("delivery.finish_erasures")
    finished = 0
    after_id = 0
    for _ in range(ERASURES_A_ROUND_MAX):
        async with context.engine.connect() as connection:
            erasure = await next_erasure(connection, after_id=after_id)
        if erasure is None:
            break
        after_id = erasure.id
        try:
            finished += await _finish(context, erasure)
        except Exception as error:
            if not may_be_the_items_fault(error):
                raise
            held.hold(erasure.id, error)
            context.log.error("delivery.erasure_failed", erasure_id=erasure.id, error=type(error).__name__)
            wait_s = retry_wait_s(erasure.failure_count, context.random)
            async with context.engine.begin() as connection:
                await put_erasure_off(connection, erasure.id, wait_s=wait_s, failed=True)
        else:
            held.forget(erasure.id)
    return finished


async def _finish(context: DeliveryContext, erasure: Erasure) -> bool:
    async with context.engine.begin() as connection:
        if await untouched_events(connection, erasure_id=erasure.id):
            await put_erasure_off(connection, erasure.id, wait_s=_INBOX_WAIT_S, failed=False)
            return False
    await _drop_failing_events(context, erasure)
    async with context.engine.begin() as connection:
        await forget_answers(connection, idempotency_key, [erasure.email_key])
        finished = await finish_erasure(connection, erasure.id)
    if finished:
        context.log.info("delivery.erasure_finished", erasure_id=erasure.id)
    return finished


async def _drop_failing_events(context: DeliveryContext, erasure: Erasure) -> None:
    after_id = 0
    for _ in range(PAGES_MAX):
        async with context.engine.begin() as connection:
            page = await read_failing_events(connection, after_id=after_id, limit=PAGE_ROWS)
            theirs = [row_id for row_id, body in page if names_address(body, erasure.email_key)]
            if theirs:
                await delete_inbox(connection, theirs)
                context.log.warning("delivery.provider_events_dropped", erasure_id=erasure.id, inbox_ids=theirs)
        if len(page) < PAGE_ROWS:
            return
        after_id = page[-1][0]
    raise RuntimeError("there are more failing events than can be looked through")
