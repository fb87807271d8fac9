"""Read the audit log: a page of it, or all that is wanted as lines of JSON. Reading all of it is an entry itself."""

from collections.abc import AsyncIterator
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.contracts.audit import By, Detail, moment, record_audit
from broadsheet_common.http.pagination import Page, decode_cursor, encode_cursor
from broadsheet_gateway.audit import store
from broadsheet_gateway.audit.entry import ShownEntry, json_line, shown
from broadsheet_gateway.audit.store import Wanted

EXPORT_PAGE_ENTRIES: Final = 1_000


async def list_entries(
    connection: AsyncConnection, wanted: Wanted, *, cursor: str | None, limit: int
) -> Page[ShownEntry]:
    """Newest first. An entry is there within seconds after its change. Raises `MalformedRequestError`."""
    rows = await store.list_newest(connection, wanted, before_number=decode_cursor(cursor), limit=limit + 1)
    next_cursor = encode_cursor(rows[limit - 1].number) if len(rows) > limit else None
    return Page([shown(row) for row in rows[:limit]], next_cursor)


async def begin_export(engine: AsyncEngine, wanted: Wanted, *, by: By, after_number: int = 0) -> AsyncIterator[bytes]:
    """What is wanted after that entry, up to the newest of now, oldest first: a line of JSON each. That it was exported
    is committed before the first line.
    """
    said: dict[str, Detail] = {
        "after_number": after_number,
        "since": None if wanted.since is None else moment(wanted.since),
        "until": None if wanted.until is None else moment(wanted.until),
        "action": wanted.action,
    }
    async with engine.begin() as connection:
        end = await store.read_head(connection)
        await record_audit(connection, by, "audit.exported", None, after=said)
    return _lines(engine, wanted, after_number=after_number, up_to_number=0 if end is None else end.number)


async def _lines(engine: AsyncEngine, wanted: Wanted, *, after_number: int, up_to_number: int) -> AsyncIterator[bytes]:
    """A page at a time, each in a transaction of its own: a slow reader holds none open."""
    while True:
        async with engine.connect() as connection:
            page = await store.list_oldest(
                connection, wanted, after_number=after_number, up_to_number=up_to_number, limit=EXPORT_PAGE_ENTRIES
            )
        if page:
            yield b"".join(json_line(one) + b"\n" for one in page)
            after_number = page[-1].number
        if len(page) < EXPORT_PAGE_ENTRIES:
            return
