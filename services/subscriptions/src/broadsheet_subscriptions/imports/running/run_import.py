"""Runs an import that this worker has leased, from the places of its lanes to the end of the file.

The reader's process is a few batches ahead at most. Two lanes store the batches, each in its own transactions and
each with half of the addresses. A lane's place moves in the transaction that stores the rows before it. So
however this process ends, the next one continues where it stopped, and no row counts twice. A lane whose token
has changed (the job was cancelled, or its lease ran out and another worker has it) stores nothing more.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.contracts.address_hash import AddressHasher
from broadsheet_common.contracts.erasure import addresses_were_erased, enter_addresses
from broadsheet_subscriptions.attributes.attribute import AttributeType
from broadsheet_subscriptions.imports import store
from broadsheet_subscriptions.imports.import_options import Status
from broadsheet_subscriptions.imports.reading.column import ATTRIBUTE_PREFIX, Mapping_
from broadsheet_subscriptions.imports.reading.csv_records import BLOCK_BYTES
from broadsheet_subscriptions.imports.reading.file_reader import Received, reading
from broadsheet_subscriptions.imports.reading.frame import LANES, Batch, Finished, Note, Opened, Orders, Unreadable
from broadsheet_subscriptions.imports.reading.opt_out_cell import MEANINGS
from broadsheet_subscriptions.imports.reading.record import Place
from broadsheet_subscriptions.imports.running import batch_store, lease_store
from broadsheet_subscriptions.imports.store import Counts, ImportRow
from broadsheet_subscriptions.subscribers.change_source import name_change_source

QUEUED_BATCHES_MAX: Final = 2
"""Per lane: enough that it never waits while the other has the longer batch, and only a few megabytes."""
ATTEMPTS_A_BATCH_MAX: Final = 5
_DEADLOCK: Final = "40P01"

_log = structlog.get_logger()


class LeaseLostError(Exception):
    """This worker no longer holds the job."""


class _LaneBatch(msgspec.Struct, frozen=True):
    after: Place
    rows: int
    contents: bytes
    rejected: int
    rejects: bytes
    notes: list[Note]


async def run_import(
    engine: AsyncEngine,
    job: ImportRow,
    *,
    hasher: AddressHasher,
    token: UUID,
    lease: timedelta,
    timeout_s: float,
    block_bytes: int = BLOCK_BYTES,
    progress: Callable[[], None] | None = None,
) -> None:
    """`progress` is called at each renewal of the lease.

    Raises `LeaseLostError`, `ReaderDiedError`, and the errors of the database. After each, the job can be
    continued from where it is.
    """
    async with engine.connect() as connection:
        lanes = await store.read_lanes(connection, job.id)
        attributes = await store.list_attributes(connection)
    place = min((lane.place for lane in lanes), key=lambda place: place.record_number)
    assert job.file_format is not None
    orders = Orders(
        import_id=job.id,
        run_number=job.run_number,
        file_format=job.file_format,
        encoding=job.encoding,
        attributes=attributes,
        given_mapping=job.given_mapping,
        given_state=job.given_state,
        added_tags=job.added_tags,
        place=place,
        lane_records=(lanes[0].place.record_number, lanes[1].place.record_number),
        newsletter_id=job.newsletter_id,
        dry_run=job.dry_run,
        first_record=job.first_record,
        block_bytes=block_bytes,
        delimiter=job.delimiter,
        titles=job.columns,
        mapping=job.mapping,
    )
    async with reading(orders, _pieces(engine, job, place)) as frames:
        types = {attribute.name: attribute.type for attribute in attributes}
        run = _Run(engine, job, types, hasher=hasher, token=token, lease=lease, timeout_s=timeout_s, progress=progress)
        end = await run.go(frames)
    async with engine.begin() as connection:
        found = await store.lock_import(connection, job.id)
        assert found is not None
        failure = _failure(end, found.counts)
        status: Status = "failed" if failure else "checked" if job.dry_run else "done"
        if not await lease_store.end_run(connection, import_id=job.id, token=token, status=status, failure=failure):
            raise LeaseLostError
    _log.info("import.ended", import_id=job.id, status=status, rows=found.counts.rows, rejected=found.counts.rejected)


def _failure(end: Finished | Unreadable, counts: Counts) -> str | None:
    """The reason of a failure; None: success. An import that stored nobody because nothing could be read is a
    failure.
    """
    if isinstance(end, Unreadable):
        return end.reason
    if counts.rows == 0:
        return "The file has no rows."
    if counts.rejected == counts.rows:
        return f"None of the {counts.rows} rows could be read; the rejects say why."
    return None


def _types_read(types: dict[str, AttributeType], mapping: Mapping_) -> dict[str, AttributeType]:
    """The types of those attributes that a column is mapped to."""
    targets = set(mapping.values())
    return {name: type_ for name, type_ in types.items() if f"{ATTRIBUTE_PREFIX}{name}" in targets}


async def _pieces(engine: AsyncEngine, job: ImportRow, place: Place) -> AsyncIterator[bytes]:
    """The stored file from the place on. A connection is held only while one piece is read."""
    first, skipped = divmod(place.byte_offset, store.PIECE_BYTES)
    for position in range(first, -(-job.file_bytes // store.PIECE_BYTES)):
        async with engine.connect() as connection:
            piece = await store.read_piece(connection, import_id=job.id, position=position)
        if piece is None:
            raise RuntimeError(f"piece {position} of import {job.id} is missing")
        yield piece[skipped:] if position == first else piece


class _Run:
    """The tasks of one run: its lanes, what feeds them, and what renews the lease."""

    def __init__(
        self,
        engine: AsyncEngine,
        job: ImportRow,
        types: dict[str, AttributeType],
        *,
        hasher: AddressHasher,
        token: UUID,
        lease: timedelta,
        timeout_s: float,
        progress: Callable[[], None] | None,
    ) -> None:
        self._engine = engine
        self._progress = progress
        self._hasher = hasher
        self._job = job
        self._types = types
        self._mapping = job.mapping or {}
        self._token = token
        self._lease = lease
        self._timeout_s = timeout_s
        self._queues: list[asyncio.Queue[_LaneBatch | None]] = [
            asyncio.Queue(maxsize=QUEUED_BATCHES_MAX) for _ in range(LANES)
        ]
        self._end: Finished | Unreadable | None = None

    async def go(self, frames: AsyncIterator[Received]) -> Finished | Unreadable:
        """Returns when everything that was read is stored."""
        try:
            async with asyncio.TaskGroup() as group:
                keeping = group.create_task(self._keep_lease())
                work = [group.create_task(self._distribute(frames))]
                work += [group.create_task(self._store(lane)) for lane in range(LANES)]
                await asyncio.wait(work, return_when=asyncio.FIRST_EXCEPTION)
                keeping.cancel()
        except ExceptionGroup as group_error:
            # One error is enough; the others follow from it.
            raise group_error.exceptions[0] from None
        assert self._end is not None
        return self._end

    async def _distribute(self, frames: AsyncIterator[Received]) -> None:
        async for received in frames:
            match received.frame:
                case Opened() as opened:
                    await self._store_opened(opened)
                case Batch() as batch:
                    await self._enqueue(batch, received.contents)
                case Finished() | Unreadable() as end:
                    self._end = end
        for queue in self._queues:
            await queue.put(None)

    async def _store_opened(self, opened: Opened) -> None:
        self._mapping = opened.mapping
        async with self._engine.begin() as connection:
            await lease_store.store_opened(
                connection,
                import_id=self._job.id,
                token=self._token,
                delimiter=opened.delimiter,
                columns=opened.titles,
                mapping=opened.mapping,
                first_record=opened.first_record,
                undecided=opened.undecided,
                remarks=opened.remarks,
                first_rows=opened.first_rows,
            )

    async def _enqueue(self, batch: Batch, contents: tuple[bytes, ...]) -> None:
        *rows, rejects = contents
        for lane, queue in enumerate(self._queues):
            # A batch without rows for this lane is queued too, so that its place moves on.
            item = _LaneBatch(
                batch.after,
                batch.rows[lane],
                rows[lane],
                batch.rejected if lane == 0 else 0,
                rejects if lane == 0 else b"",
                batch.notes if lane == 0 else [],
            )
            await queue.put(item)

    async def _store(self, lane: int) -> None:
        while (batch := await self._queues[lane].get()) is not None:
            for attempt in range(1, ATTEMPTS_A_BATCH_MAX + 1):
                try:
                    await self._store_batch(lane, batch)
                    break
                except batch_store.BatchChangedError:
                    if attempt == ATTEMPTS_A_BATCH_MAX:
                        raise
                except DBAPIError as error:
                    # Other transactions lock people in another order. In a deadlock, Postgres ends one of the two.
                    if attempt == ATTEMPTS_A_BATCH_MAX or getattr(error.orig, "sqlstate", None) != _DEADLOCK:
                        raise

    async def _store_batch(self, lane: int, batch: _LaneBatch) -> None:
        job = self._job
        async with self._engine.begin() as connection:
            stands = await store.lock_lane(connection, import_id=job.id, lane=lane)
            if stands.lease_token != self._token:
                raise LeaseLostError
            if stands.place.record_number >= batch.after.record_number:
                return
            counts, added = Counts(), None
            if batch.rows or batch.rejected:
                await batch_store.copy_batch(
                    connection, rows=batch.contents, rejects=batch.rejects, timeout_s=self._timeout_s
                )
            if batch.notes:
                await store.add_notes(connection, import_id=job.id, run_number=job.run_number, notes=batch.notes)
            if batch.rows:
                await batch_store.forget_removed_attributes(connection, _types_read(self._types, self._mapping))
                await self._enter_addresses(connection)
                if job.dry_run:
                    counts = await batch_store.judge_people(connection, job, rows=batch.rows)
                else:
                    await name_change_source(connection, "import")
                    has_states = not MEANINGS.isdisjoint(target for target in self._mapping.values() if target)
                    counts = await batch_store.store_people(connection, job, rows=batch.rows, has_states=has_states)
                    added = await batch_store.find_added(connection)
            counts = msgspec.structs.replace(counts, rejected=batch.rejected)
            await store.move_lane(
                connection, import_id=job.id, lane=lane, after=batch.after, counts=counts, added=added
            )

    async def _enter_addresses(self, connection: AsyncConnection) -> None:
        """Suppresses an erased subscriber's suppressed address again, before suppressions are looked up."""
        if self._job.dry_run or not await addresses_were_erased(connection):
            return
        await enter_addresses(connection, self._hasher, await batch_store.list_addresses(connection))

    async def _keep_lease(self) -> None:
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 4)
            async with self._engine.begin() as connection:
                if not await lease_store.renew_lease(
                    connection, import_id=self._job.id, token=self._token, lease=self._lease
                ):
                    raise LeaseLostError
            if self._progress is not None:
                self._progress()
