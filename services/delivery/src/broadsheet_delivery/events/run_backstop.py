"""Backstop: fetch from Postmark what its webhooks may have lost; it gives an event up after about an hour of
failures.

Suppression dumps and bounces go into the same inbox as webhooks and are applied by the same code, so that nothing
takes effect twice. One replica at a time, by a lease; no transaction is open during a call.
"""

import uuid
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.process.database import may_be_the_items_fault
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.erasure.interface import erased_among, suppressed_while_erased
from broadsheet_delivery.events import backstop_store as store
from broadsheet_delivery.events.apply_events import apply_provider_events
from broadsheet_delivery.events.backstop_store import Turn
from broadsheet_delivery.events.provider_event import email_key, parse_event
from broadsheet_delivery.events.store import insert_fetched
from broadsheet_delivery.postmark.answer import BOUNCES_A_PAGE_MAX, DumpRow, UnusableAnswerError

STREAMS_MAX: Final = 50
PAGES_A_STREAM_MAX: Final = 20
"""Postmark shows no more than 10,000 bounces."""
DETAILS_A_RUN_MAX: Final = 500
ROWS_A_TRANSACTION_MAX: Final = 500
_OVERLAP: Final = timedelta(hours=2)
_SETTLING_TIME: Final = timedelta(minutes=5)
"""A suppression younger than this may not be in the dump yet."""
_LEASE: Final = timedelta(minutes=30)
_RETRY_S: Final = 300.0

T = TypeVar("T")


async def run_backstop(context: DeliveryContext) -> bool:
    """One run, if it is due and no other replica has it. Returns whether there was one."""
    async with context.engine.connect() as connection:
        if not await store.is_due(connection):
            return False
    async with context.engine.begin() as connection:
        turn = await store.take_turn(connection, token=uuid.uuid4(), lease=_LEASE)
    if turn is None:
        return False
    interval_s = context.backstop_interval.total_seconds()
    wait_s = interval_s * (0.75 + context.random.random() / 2)
    read_to: datetime | None = turn.began_at
    try:
        fetched = await _fetch(context, turn)
    except UnusableAnswerError as error:
        context.log.warning("delivery.backstop_failed", reason=str(error))
        wait_s, read_to = min(wait_s, _RETRY_S), None
    except Exception:
        # The lease is given back, so that the next run does not wait for its end.
        async with context.engine.begin() as connection:
            await store.end_turn(connection, turn, wait_s=min(wait_s, _RETRY_S), bounces_read_to=None)
        raise
    else:
        context.log.info("delivery.backstop_ran", fetched=fetched)
    async with context.engine.begin() as connection:
        await store.end_turn(connection, turn, wait_s=wait_s, bounces_read_to=read_to)
    return True


async def _fetch(context: DeliveryContext, turn: Turn) -> int:
    async with context.engine.connect() as connection:
        streams = await store.streams_in_use(connection, transactional=context.transactional_stream, limit=STREAMS_MAX)
    fetched = 0
    failure: UnusableAnswerError | None = None
    for stream in streams:
        try:
            # Bounces first: they say more about an address than the dump does.
            fetched += await _fetch_bounces(context, turn, stream)
            await apply_provider_events(context)
            fetched += await _compare_dump(context, turn, stream)
        except UnusableAnswerError as error:
            # If one stream fails, the others are still read.
            context.log.warning("delivery.backstop_stream_failed", stream=stream, reason=str(error))
            failure = error
        except Exception as error:
            if not may_be_the_items_fault(error):
                raise
            context.log.error("delivery.backstop_stream_failed", stream=stream, exc_info=error)
            failure = UnusableAnswerError(f"the stream could not be compared ({type(error).__name__})")
    if failure is not None:
        raise failure
    return fetched


async def _fetch_bounces(context: DeliveryContext, turn: Turn, stream: str) -> int:
    since = None if turn.bounces_read_to is None else turn.bounces_read_to - _OVERLAP
    fetched, details_left = 0, DETAILS_A_RUN_MAX
    for page_number in range(PAGES_A_STREAM_MAX):
        page = await context.records.bounces(stream=stream, offset=page_number * BOUNCES_A_PAGE_MAX)
        events = {}
        for bounce in page.bounces:
            row = {**bounce, "RecordType": "Bounce", "MessageStream": bounce.get("MessageStream") or stream}
            event = parse_event(_encode(row), turn.began_at)
            events[event.dedupe_key] = (event, row)
        async with context.engine.connect() as connection:
            unknown = await store.unknown_keys(connection, list(events))
        bodies = []
        for key in unknown:
            event, row = events[key]
            if event.message_id is not None and details_left:
                # The list of bounces lacks the metadata that name the delivery.
                details_left -= 1
                row["Metadata"] = await context.records.metadata_of(event.message_id)
            bodies.append(_encode(row))
        await _enqueue(context, bodies)
        fetched += len(bodies)
        is_last = len(page.bounces) < BOUNCES_A_PAGE_MAX
        if is_last or (since is not None and min(event.occurred_at for event, _ in events.values()) < since):
            break
    return fetched


async def _compare_dump(context: DeliveryContext, turn: Turn, stream: str) -> int:
    dump = await context.records.suppression_dump(stream)
    fetched = 0
    shown: set[str] = set()
    for rows in _batches(dump, ROWS_A_TRANSACTION_MAX):
        by_key = {key: row for row in rows if (key := email_key(row.email_address)) is not None}
        shown.update(by_key)
        bodies = {key: _encode(_as_change(row, stream)) for key, row in by_key.items()}
        async with context.engine.connect() as connection:
            news = await store.news_of_dump(
                connection,
                stream=stream,
                keys=list(by_key),
                times=[parse_event(bodies[key], turn.began_at).occurred_at for key in by_key],
                complaints=[row.suppression_reason == "SpamComplaint" for row in by_key.values()],
            )
            news -= await _known_by_hash(context, connection, stream, news)
        await _enqueue(context, [bodies[key] for key in by_key if key in news])
        fetched += len(news)
    async for keys in _told_by_postmark(context, turn, stream):
        gone = [key for key in keys if key not in shown]
        await _enqueue(context, [_encode(_as_lift(key, stream, turn.began_at)) for key in gone])
        fetched += len(gone)
    return fetched


async def _known_by_hash(
    context: DeliveryContext, connection: AsyncConnection, stream: str, keys: Collection[str]
) -> set[str]:
    """Those of these addresses that were erased and stay suppressed: Postmark shows them in each run."""
    erased = await erased_among(connection, context.address_hasher, keys)
    held = await suppressed_while_erased(connection, stream=stream, hashes=erased.values())
    return {key for key, address_hash in erased.items() if address_hash in held}


async def _told_by_postmark(context: DeliveryContext, turn: Turn, stream: str) -> AsyncIterator[list[str]]:
    after_key = ""
    while True:
        async with context.engine.connect() as connection:
            keys = await store.provider_suppressions(
                connection,
                stream=stream,
                before=turn.began_at - _SETTLING_TIME,
                after_key=after_key,
                limit=ROWS_A_TRANSACTION_MAX,
            )
        if not keys:
            return
        yield keys
        after_key = keys[-1]


async def _enqueue(context: DeliveryContext, bodies: Sequence[str]) -> None:
    if bodies:
        async with context.engine.begin() as connection:
            await insert_fetched(connection, bodies)


def _as_change(row: DumpRow, stream: str) -> dict[str, Any]:
    """A row of the dump in the form of a webhook."""
    return {
        "RecordType": "SubscriptionChange",
        "MessageStream": stream,
        "MessageID": None,
        "Recipient": row.email_address,
        "ChangedAt": row.created_at,
        "Origin": row.origin,
        "SuppressSending": True,
        "SuppressionReason": row.suppression_reason,
    }


def _as_lift(key: str, stream: str, moment: datetime) -> dict[str, Any]:
    """What the dump no longer shows. Who lifted it is unknown, so it subscribes nobody."""
    return {
        "RecordType": "SubscriptionChange",
        "MessageStream": stream,
        "MessageID": None,
        "Recipient": key,
        "ChangedAt": moment.astimezone(UTC).isoformat(),
        "Origin": None,
        "SuppressSending": False,
        "SuppressionReason": None,
    }


def _encode(row: dict[str, Any]) -> str:
    return msgspec.json.encode(row).decode()


def _batches(rows: Sequence[T], size: int) -> Iterator[list[T]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, size)):
        yield batch
