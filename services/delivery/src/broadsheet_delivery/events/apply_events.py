"""Apply events from Postmark: each is recorded once and has its effect once, in the same transaction.

The effect does not depend on the order of arrival: a suppression is decided by the event's own time (see
`suppression`), and an `accepted` outcome stays whatever follows.
"""

import uuid
from collections.abc import Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.provider_change import ProviderChangeKind, enqueue_provider_change
from broadsheet_common.process.database import may_be_the_items_fault
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.erasure.interface import Whose, erased_among
from broadsheet_delivery.events import store
from broadsheet_delivery.events.provider_event import ProviderEvent, email_key, parse_event
from broadsheet_delivery.events.settle_by_event import settle_by_events
from broadsheet_delivery.events.store import InboxRow
from broadsheet_delivery.suppressions.count_soft_bounces import count_soft_bounces
from broadsheet_delivery.suppressions.interface import apply_lift, apply_suppress, newsletters_on_stream
from broadsheet_delivery.suppressions.suppression import CountSoftBounce, Lift, Suppress
from broadsheet_delivery.throttle.back_off import retry_wait_s

EVENTS_A_BATCH_MAX = 250
BATCHES_A_ROUND_MAX = 200


async def apply_provider_events(context: DeliveryContext) -> int:
    """One bounded round over the inbox. Returns how many rows were handled."""
    done = 0
    for _ in range(BATCHES_A_ROUND_MAX):
        async with context.engine.connect() as connection:
            rows = await store.read_inbox(connection, limit=EVENTS_A_BATCH_MAX)
        if not rows:
            break
        try:
            await _apply(context, rows)
        except Exception as error:
            if not may_be_the_items_fault(error):
                raise
            # One row in the batch fails: applied one by one, the others succeed.
            await _apply_one_by_one(context, rows)
        done += len(rows)
    return done


async def _apply_one_by_one(context: DeliveryContext, rows: Sequence[InboxRow]) -> None:
    held = context.set_asides.of("delivery.provider_events")
    for row in rows:
        try:
            await _apply(context, [row])
        except Exception as error:
            if not may_be_the_items_fault(error):
                raise
            held.hold(row.id, error)
            context.log.error("delivery.provider_event_failed", inbox_id=row.id, error=type(error).__name__)
            wait_s = retry_wait_s(row.failure_count, context.random)
            async with context.engine.begin() as connection:
                await store.put_off_inbox(connection, row_id=row.id, wait_s=wait_s)
        else:
            held.forget(row.id)


async def _apply(context: DeliveryContext, rows: Sequence[InboxRow]) -> None:
    await settle_by_events(context.engine, [parse_event(row.body, row.received_at) for row in rows])
    async with context.engine.begin() as connection:
        # Read again under a lock: another replica may have applied some meanwhile.
        held = await store.read_inbox(connection, limit=len(rows), ids=[row.id for row in rows])
        if held:
            await _record_and_apply(context, connection, held)
            await store.delete_inbox(connection, [row.id for row in held])


async def _record_and_apply(context: DeliveryContext, connection: AsyncConnection, rows: Sequence[InboxRow]) -> None:
    parsed: dict[str, tuple[ProviderEvent, InboxRow]] = {}
    for row in rows:
        event = parse_event(row.body, row.received_at)
        parsed.setdefault(event.dedupe_key, (event, row))
    ours = await store.known_attempts(connection, [e.attempt_id for e, _ in parsed.values() if e.attempt_id])
    named = await _with_addresses(connection, list(parsed.values()), ours)
    # Erased addresses are not stored again: their events count under the address's hash.
    erased = await erased_among(
        connection,
        context.address_hasher,
        {event.email_key for event, _ in named if event.effect is not None and event.email_key is not None},
    )
    recorded = [(_without_address(event) if event.email_key in erased else event, row) for event, row in named]
    new = await store.insert_events(connection, await _with_shared_links(connection, recorded, ours), ours)
    # In the order of addresses, so that two replicas cannot deadlock on suppressions.
    effective = sorted(
        ((event, row) for event, row in named if event.effect is not None and event.dedupe_key in new),
        key=lambda one: (one[0].effective_stream, one[0].email_key or "", one[0].occurred_at),
    )
    newsletters: dict[str, list[int]] = {}
    for event, row in effective:
        if event.email_key is None:
            # The backstop will fetch it, with the address.
            context.log.warning("delivery.provider_event_without_recipient", inbox_id=row.id)
            continue
        stream = event.effective_stream
        if stream not in newsletters:
            newsletters[stream] = await newsletters_on_stream(connection, stream=stream)
        whose = erased.get(event.email_key, event.email_key)
        await _apply_effect(connection, event, whose, row.source, newsletters[stream])
    if context.soft_bounce_rule is not None:
        counted = [event for event, _ in named if event.dedupe_key in new and event.email_key not in erased]
        await count_soft_bounces(connection, context.soft_bounce_rule, counted)


async def _with_shared_links(
    connection: AsyncConnection, events: Sequence[tuple[ProviderEvent, InboxRow]], ours: set[uuid.UUID]
) -> list[tuple[ProviderEvent, InboxRow]]:
    """A link is stored whole where it stands so in the issue, for all; any other may hold what is one person's."""
    wanted = {
        (event.delivery[0], event.whole_link)
        for event, _ in events
        if event.whole_link is not None and event.delivery is not None and event.attempt_id in ours
    }
    shared = await store.links_in_issues(connection, sorted(wanted)) if wanted else set()
    if not shared:
        return list(events)
    return [
        (msgspec.structs.replace(event, detail=event.detail | {"shared_link": event.whole_link}), row)
        if event.delivery is not None and (event.delivery[0], event.whole_link) in shared
        else (event, row)
        for event, row in events
    ]


def _without_address(event: ProviderEvent) -> ProviderEvent:
    return msgspec.structs.replace(event, email_key=None)


async def _with_addresses(
    connection: AsyncConnection, events: Sequence[tuple[ProviderEvent, InboxRow]], ours: set[uuid.UUID]
) -> list[tuple[ProviderEvent, InboxRow]]:
    """Events that change a suppression without naming the address: looked up by the delivery they are about."""
    nameless = [event for event, _ in events if event.effect is not None and event.email_key is None]
    if not nameless:
        return list(events)
    by_message = await store.deliveries_of_messages(connection, [e.message_id for e in nameless if e.message_id])
    deliveries: dict[str, tuple[int, int]] = {}
    for event in nameless:
        about = event.delivery if event.attempt_id in ours else None
        if about is None and event.message_id is not None:
            about = by_message.get(event.message_id)
        if about is not None:
            deliveries[event.dedupe_key] = about
    keys = await store.recipient_keys(connection, list(deliveries.values()))
    mails = await store.mail_keys(
        connection, [e.mail_id for e in nameless if e.mail_id is not None and e.attempt_id in ours]
    )
    found: list[tuple[ProviderEvent, InboxRow]] = []
    for event, row in events:
        if event.effect is not None and event.email_key is None:
            about = deliveries.get(event.dedupe_key)
            key = keys.get(about) if about else email_key(mails.get(event.mail_id or 0))
            found.append((msgspec.structs.replace(event, email_key=key), row))
        else:
            found.append((event, row))
    return found


async def _apply_effect(
    connection: AsyncConnection, event: ProviderEvent, whose: Whose, source: str, newsletter_ids: list[int]
) -> None:
    stream = event.effective_stream
    change: ProviderChangeKind | None = None
    match event.effect:
        case Suppress() as effect:
            await apply_suppress(
                connection, stream=stream, whose=whose, effect=effect, occurred_at=event.occurred_at, source=source
            )
            change = _change_of(effect)
        case Lift() as effect:
            await apply_lift(
                connection, stream=stream, whose=whose, effect=effect, occurred_at=event.occurred_at, source=source
            )
            # Consent is the recipient's own: a suppression lifted by an administrator subscribes nobody.
            change = "resubscribe" if effect.origin == "recipient" else None
        case CountSoftBounce() | None:
            return
    # An erased subscriber has no subscriptions.
    if change is not None and newsletter_ids and isinstance(whose, str):
        await enqueue_provider_change(
            connection, kind=change, email_key=whose, newsletter_ids=newsletter_ids, occurred_at=event.occurred_at
        )


def _change_of(effect: Suppress) -> ProviderChangeKind | None:
    match effect.kind:
        case "unsubscribe":
            return "unsubscribe"
        case "complaint":
            return "complained"
        case "hard_bounce":
            return "hard_bounced"
        case "manual" | "inactive" | "soft_bounces":
            return None
