"""Verify the audit log: walk along the chain and report the first fault.

The chain is read in pages, each in a transaction of its own: entries are only ever added at the end. What the chain
cannot show by itself is that its end was cut off together with the record of its end; for that, a hash that was kept
elsewhere (a stream, an export, the output of the last verification) is given as `known`.
"""

from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_gateway.audit import store
from broadsheet_gateway.audit.chain_end import Head
from broadsheet_gateway.audit.entry import START_HASH, Entry, hash_of

PAGE_ENTRIES: Final = 1_000


class Intact(msgspec.Struct, frozen=True):
    """`verified` entries were read, up to `end`. `waiting` are not chained yet."""

    verified: int
    end: Head
    waiting: int


class Broken(msgspec.Struct, frozen=True):
    """The first fault, at `number`."""

    number: int
    fault: str


async def verify_chain(engine: AsyncEngine, *, from_number: int = 1, known: Head | None = None) -> Intact | Broken:
    """From the entry `from_number` on, which is believed to follow the one before if that one's hash says so."""
    async with engine.connect() as connection:
        end = await store.read_head(connection)
    if end is None:
        return Broken(0, "the record of the chain's end is missing")
    last, fault = await _start(engine, from_number)
    if fault is not None:
        return fault
    if known is not None and known.number < from_number:
        return Broken(known.number, f"the known hash is of an entry before {from_number}: begin at or before it")
    verified = 0
    while True:
        async with engine.connect() as connection:
            page = await store.list_after(connection, last.number, limit=PAGE_ENTRIES)
        for one in page:
            if (broken := _check(one, after=last, marks=(end, known))) is not None:
                return broken
            last = Head(one.number, one.hash)
        verified += len(page)
        if len(page) < PAGE_ENTRIES:
            break
    for expected, what in ((end, "the record of the chain's end"), (known, "the known hash")):
        if expected is not None and last.number < expected.number:
            return Broken(last.number + 1, f"the entry is missing: {what} names entry {expected.number}")
    async with engine.connect() as connection:
        return Intact(verified, last, await store.count_waiting(connection))


def _check(one: Entry, *, after: Head, marks: tuple[Head, Head | None]) -> Broken | None:
    """`marks`: the record of the chain's end, and the known hash."""
    end, known = marks
    fault: str | None = None
    if one.number != after.number + 1:
        return Broken(after.number + 1, f"the entry is missing; the next one is {one.number}")
    if one.previous_hash != after.hash:
        fault = "the entry is not chained to the one before it"
    elif hash_of(one, previous_hash=after.hash) != one.hash:
        fault = "the entry was altered: its hash is another"
    elif known is not None and one.number == known.number and one.hash != known.hash:
        fault = "the entry's hash is not the known one: the chain was made anew"
    elif one.number == end.number and one.hash != end.hash:
        fault = "the entry's hash is not the one in the record of the chain's end"
    return None if fault is None else Broken(one.number, fault)


async def _start(engine: AsyncEngine, from_number: int) -> tuple[Head, Broken | None]:
    """What the first entry to be read must be chained to."""
    start = Head(0, START_HASH)
    if from_number <= 1:
        return start, None
    async with engine.connect() as connection:
        [*found] = await store.list_after(connection, from_number - 2, limit=1)
    if not found or found[0].number != from_number - 1:
        return start, Broken(from_number - 1, "the entry is missing: there is nothing to begin after")
    return Head(found[0].number, found[0].hash), None
