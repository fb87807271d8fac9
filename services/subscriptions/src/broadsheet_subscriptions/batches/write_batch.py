"""Create and change many subscribers: one transaction for each chunk of the items.

What an item finds and leaves is what it would find and leave as a single call, after those before it. A chunk takes as
many statements as one item. What is wrong with an item is found before it is written, or said by the statement that
would write it. Only if a statement fails for a reason that nobody foresaw, or waits too long for a row that somebody
else holds, is the chunk written again with a savepoint for each item, so that the fault stays with its item.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.contracts.audit import NewEntry, record_audits
from broadsheet_common.contracts.identity import Identity
from broadsheet_common.http.entity_tag import entity_tag, require_tag, without_coding
from broadsheet_common.http.problems import InvalidInputError, NotFoundError, ProblemError
from broadsheet_common.process.database import may_be_the_items_fault
from broadsheet_subscriptions.attributes.attribute import AttributeType
from broadsheet_subscriptions.batches import store
from broadsheet_subscriptions.batches.batch_item import (
    CREATED,
    FOUND,
    BatchResult,
    Change,
    Creation,
    Work,
    in_rounds,
    read_item,
    refusal,
    refusals,
    success,
)
from broadsheet_subscriptions.batches.kept_answers import Repeatable, claim_chunk, keep_chunk
from broadsheet_subscriptions.sign_up.subscribe import ConfirmationPolicy, subscribe_all
from broadsheet_subscriptions.subscribers.api import given, given_fields
from broadsheet_subscriptions.subscribers.change_source import begin_change
from broadsheet_subscriptions.subscribers.change_subscriber import Notes, change_subscribers, check_notes, hold_named
from broadsheet_subscriptions.subscribers.interface import lock_subscribers
from broadsheet_subscriptions.subscribers.show_subscriber import Subscriber, show_subscribers

CHUNK_ITEMS: Final = 100
TIMEOUT_S: Final = 12.0
"""For the whole batch. The gateway waits 15 s for an answer; what is not done by then is to be sent again."""
LOCK_WAIT_MAX_MS: Final = 500
"""How long a chunk waits for a row: all of its items wait too."""
LOCK_WAIT_ALONE_MAX_MS: Final = 50
"""The same for each item alone, once the chunk has waited in vain: together they wait less than the time there is."""

_log = structlog.get_logger()


class Batch(msgspec.Struct, frozen=True):
    """What all items share. `request`: the key with which the batch may be sent again, if it has one."""

    caller: Identity
    policy: ConfirmationPolicy
    request: Repeatable | None

    @property
    def allowed(self) -> frozenset[int] | None:
        return self.caller.newsletters_with("subscribers:write")


class _Chunk(msgspec.Struct, frozen=True):
    """`number` of `count`, from 0. An item that is refused as it was read is a result already."""

    number: int
    count: int
    items: Sequence[Work | BatchResult]


async def write_batch(engine: AsyncEngine, batch: Batch, sent: Sequence[Any]) -> list[BatchResult]:
    """The result of each item, in order. What was not reached in time, or before the database went away, has a status
    from 500 on, and may be sent again.

    Raises:
        IdempotencyKeyReusedError, IdempotencyInFlightError: as `claim_key`.
        Exception: the database was away before anything was written.
    """
    deadline_s = asyncio.get_running_loop().time() + TIMEOUT_S
    read = [read_item(index, item, batch.caller) for index, item in enumerate(sent)]
    starts = range(0, len(read), CHUNK_ITEMS)
    results: list[BatchResult] = []
    for number, start in enumerate(starts):
        chunk = _Chunk(number, len(starts), read[start : start + CHUNK_ITEMS])
        try:
            async with asyncio.timeout_at(deadline_s):
                results += await _write_chunk(engine, batch, chunk)
        except ProblemError:
            raise  # about the key, and so about the whole request
        except Exception as error:
            if may_be_the_items_fault(error):
                results += refusals(chunk.items, error)
                continue
            if number == 0:
                raise
            return results + refusals(read[start:], error)
    return results


async def _write_chunk(engine: AsyncEngine, batch: Batch, chunk: _Chunk) -> list[BatchResult]:
    try:
        return await _write_once(engine, batch, chunk, each_alone=False)
    except Exception as error:
        if isinstance(error, ProblemError) or not may_be_the_items_fault(error):
            raise
        _log.warning("subscribers.batch_chunk_failed", items=len(chunk.items), error=type(error).__name__)
    return await _write_once(engine, batch, chunk, each_alone=True)


async def _write_once(engine: AsyncEngine, batch: Batch, chunk: _Chunk, *, each_alone: bool) -> list[BatchResult]:
    """One transaction. `each_alone`: with a savepoint for each item."""
    indexes = [one.index for one in chunk.items]
    async with engine.begin() as connection:
        results: dict[int, BatchResult] = {}
        if batch.request is not None:
            kept = await claim_chunk(connection, batch.request, chunk.number, chunks=chunk.count, indexes=indexes)
            results = {one.index: one for one in kept if one.is_final}
        todo = [one for one in chunk.items if one.index not in results]
        if todo:
            bound_ms = LOCK_WAIT_ALONE_MAX_MS if each_alone else LOCK_WAIT_MAX_MS
            await begin_change(connection, "operator", lock_wait_max_ms=bound_ms)
            results |= {one.index: one for one in todo if isinstance(one, BatchResult)}
            work = [one for one in todo if not isinstance(one, BatchResult)]
            results |= await _write_work(connection, batch, work, each_alone=each_alone)
        in_order = [results[index] for index in indexes]
        if todo and batch.request is not None:
            await keep_chunk(connection, batch.request, chunk.number, in_order)
        return in_order


async def _write_work(
    connection: AsyncConnection, batch: Batch, work: Sequence[Work], *, each_alone: bool
) -> dict[int, BatchResult]:
    if not work:
        return {}
    types = await hold_named(connection, {name for one in work for name in _attributes(one)})
    results: dict[int, BatchResult] = {}
    for together in [[one] for one in work] if each_alone else await _rounds(connection, work):
        try:
            async with connection.begin_nested() if each_alone else nullcontext():
                results |= await _write_together(connection, batch, together, types)
        except Exception as error:
            if not each_alone or not may_be_the_items_fault(error):
                raise
            results |= {one.index: refusal(one.index, error) for one in together}
    entries = [_entry(one, found) for one in work if (found := results[one.index]).subscriber is not None]
    if entries:
        await record_audits(connection, batch.caller, entries)
    return results


async def _rounds(connection: AsyncConnection, work: Sequence[Work]) -> list[list[Work]]:
    changed = {one.asked.id for one in work if isinstance(one, Change)}
    is_mixed = bool(changed) and any(isinstance(one, Creation) for one in work)
    return in_rounds(work, await store.read_mailboxes(connection, changed) if is_mixed else {})


class _Written(msgspec.Struct):
    """What becomes of items that are written together, by index: a result, or the status and whom it is about. `notes`
    are to be written, by subscriber.
    """

    results: dict[int, BatchResult] = {}
    of: dict[int, tuple[int, int]] = {}
    notes: dict[int, Notes] = {}


async def _write_together(
    connection: AsyncConnection, batch: Batch, together: Sequence[Work], types: Mapping[str, AttributeType]
) -> dict[int, BatchResult]:
    """Items of which none depends on another."""
    written = _Written()
    if changes := [one for one in together if isinstance(one, Change)]:
        await _take_changes(connection, batch, changes, types, written)
    if creations := [one for one in together if isinstance(one, Creation)]:
        await _take_creations(connection, batch, creations, types, written)
    await change_subscribers(connection, written.notes)
    shown = await _show(connection, [subscriber_id for _, subscriber_id in written.of.values()], allowed=batch.allowed)
    return written.results | {
        index: success(index, status, shown[subscriber_id]) for index, (status, subscriber_id) in written.of.items()
    }


async def _take_changes(
    connection: AsyncConnection,
    batch: Batch,
    changes: Sequence[Change],
    types: Mapping[str, AttributeType],
    written: _Written,
) -> None:
    """Locks the subscribers, and finds out which may be changed and how."""
    locked = await lock_subscribers(connection, [one.asked.id for one in changes])
    shown = await _show(connection, sorted(locked), allowed=batch.allowed)
    visible = {one.id: one for one in shown.values() if batch.allowed is None or one.subscriptions}
    for change in changes:
        try:
            written.notes[change.asked.id] = _notes_of_change(change, visible.get(change.asked.id), types)
        except ProblemError as error:
            written.results[change.index] = refusal(change.index, error, within="/change")
        else:
            written.of[change.index] = (FOUND, change.asked.id)


async def _take_creations(
    connection: AsyncConnection,
    batch: Batch,
    creations: Sequence[Creation],
    types: Mapping[str, AttributeType],
    written: _Written,
) -> None:
    """Signs up those whose attributes and tags are valid."""
    valid: list[tuple[Creation, Notes]] = []
    for one in creations:
        try:
            valid.append((one, check_notes(types, attributes=one.asked.attributes, tags=one.asked.tags or None)))
        except ProblemError as error:
            written.results[one.index] = refusal(one.index, error, within="/create")
    if not valid:
        return
    outcomes = await subscribe_all(connection, [one.sign_up for one, _ in valid], batch.policy)
    for (one, notes), outcome in zip(valid, outcomes, strict=True):
        if isinstance(outcome, InvalidInputError):
            written.results[one.index] = refusal(one.index, outcome, within="/create")
            continue
        if outcome.is_new:
            written.notes[outcome.subscriber.id] = notes
        written.of[one.index] = (CREATED if outcome.is_new else FOUND, outcome.subscriber.id)


async def _show(
    connection: AsyncConnection, subscriber_ids: Iterable[int], *, allowed: frozenset[int] | None
) -> dict[int, Subscriber]:
    return {one.id: one for one in await show_subscribers(connection, list(subscriber_ids), allowed=allowed)}


def _notes_of_change(change: Change, found: Subscriber | None, types: Mapping[str, AttributeType]) -> Notes:
    """Raises NotFoundError, PreconditionFailedError, InvalidInputError, in the order of the single call."""
    asked = change.asked
    if found is None:
        raise NotFoundError("There is no such subscriber.")
    if asked.if_match is not None:
        require_tag(without_coding(asked.if_match), entity_tag(found))
    return check_notes(types, name=given(asked.name), attributes=given(asked.attributes), tags=given(asked.tags))


def _attributes(work: Work) -> Iterable[str]:
    return given(work.asked.attributes) or ()


def _entry(work: Work, result: BatchResult) -> NewEntry:
    """The audit log's entry of an item that was written, as of the single call."""
    if isinstance(work, Change):
        return NewEntry(
            action="subscriber.changed", target_id=work.asked.id, after={"changed": given_fields(work.asked)}
        )
    return NewEntry(
        action="subscriber.created",
        target_id=None if result.subscriber is None else result.subscriber.id,
        newsletter_id=work.asked.newsletter_id,
        after={"is_new": result.status == CREATED},
    )
