"""Settle uncertain deliveries by events: an event about a message shows that Postmark accepted it.

An event may even arrive before the answer to our own call; the worker then finds the outcome already stored.
"""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_delivery.events.provider_event import ProviderEvent
from broadsheet_delivery.events.store import OpenDelivery, known_attempts, open_deliveries, open_mails
from broadsheet_delivery.queue.interface import Settled, SettledMail, insert_outcomes, settle_mails, settle_uncertain
from broadsheet_delivery.queue.outcome import Accepted


async def settle_by_events(engine: AsyncEngine, events: Sequence[ProviderEvent]) -> int:
    """Settle as accepted what these events are about. Returns how many deliveries had no outcome before.

    In transactions of its own, before the events are recorded: it is safe to repeat, and it holds no lock on a
    chunk while suppressions are written, because a worker takes these locks in the other order.
    """
    about_deliveries = [event for event in events if event.message_id and event.attempt_id and event.delivery]
    about_mails = {
        event.mail_id: event for event in events if event.message_id and event.attempt_id and event.mail_id is not None
    }
    if not about_deliveries and not about_mails:
        return 0
    async with engine.connect() as connection:
        open_ones = await open_deliveries(connection, about_deliveries) if about_deliveries else []
        waiting = await open_mails(connection, list(about_mails)) if about_mails else set()
        ours = await known_attempts(connection, [e.attempt_id for e in about_mails.values() if e.attempt_id])
    by_chunk: dict[tuple[int, int | None], list[OpenDelivery]] = defaultdict(list)
    for one in {(one.issue_id, one.seq): one for one in open_ones}.values():
        by_chunk[one.issue_id, one.chunk.id if one.chunk else None].append(one)
    for together in by_chunk.values():
        await _settle_deliveries(engine, together)
    mails = [about_mails[mail_id] for mail_id in sorted(waiting) if about_mails[mail_id].attempt_id in ours]
    for event in mails:
        await _settle_mail(engine, event)
    return sum(map(len, by_chunk.values())) + len(mails)


async def _settle_deliveries(engine: AsyncEngine, together: Sequence[OpenDelivery]) -> None:
    """Deliveries of one chunk, in the order of their numbers, as a worker writes them."""
    async with engine.begin() as connection:
        for one in together:
            outcome = Accepted(one.message_id)
            if one.single_mail_id is not None:
                await settle_mails(
                    connection, settled=[SettledMail(one.single_mail_id, outcome)], attempt_id=one.attempt_id
                )
            else:
                await insert_outcomes(
                    connection, issue_id=one.issue_id, attempt_id=one.attempt_id, settled=[Settled(one.seq, outcome)]
                )
        chunk, attempt_id = together[0].chunk, together[0].chunk_attempt_id
        if chunk is not None and attempt_id is not None:
            # Does nothing unless the chunk is uncertain; the rest of it is asked about at once.
            await settle_uncertain(connection, chunk, attempt_id=attempt_id, still_uncertain=True, wait_s=0.0)


async def _settle_mail(engine: AsyncEngine, event: ProviderEvent) -> None:
    assert event.mail_id is not None
    assert event.message_id is not None
    async with engine.begin() as connection:
        settled = [SettledMail(event.mail_id, Accepted(event.message_id))]
        await settle_mails(connection, settled=settled, attempt_id=event.attempt_id)
