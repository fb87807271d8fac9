"""Reading the audit log: by page and filter, and all of it."""

import json
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import Actor, record_audit
from broadsheet_gateway.audit import read_audit, store
from broadsheet_gateway.audit.read_audit import begin_export, list_entries
from broadsheet_gateway.audit.store import Wanted

ADMIN = Actor("user:1", "user:1", "203.0.113.9")
KEY = Actor("key:7", "user:1", "203.0.113.9")
OTHER = Actor("user:2", "user:2", "198.51.100.7")


@pytest.fixture
async def six(log_engine: AsyncEngine) -> AsyncEngine:
    """Entries 1 to 6."""
    async with log_engine.begin() as connection:
        await record_audit(connection, ADMIN, "layout.created", 1)
        await record_audit(connection, KEY, "layout.changed", 1, after={"changed": ["source"]})
        await record_audit(connection, OTHER, "layout.created", 2)
        await record_audit(connection, OTHER, "segment.created", 1)
        await record_audit(connection, KEY, "segment.deleted", 1)
        await record_audit(connection, ADMIN, "layout.deleted", 1)
        assert await store.seal(connection, entries_max=10) == 6
    return log_engine


async def numbers(engine: AsyncEngine, wanted: Wanted, *, limit: int = 50) -> list[int]:
    """Of all pages, in their order."""
    found: list[int] = []
    cursor = None
    while True:
        async with engine.connect() as connection:
            page = await list_entries(connection, wanted, cursor=cursor, limit=limit)
        found += [one.number for one in page.items]
        if (cursor := page.next_cursor) is None:
            return found


async def test_the_newest_come_first_page_by_page(six: AsyncEngine) -> None:
    assert await numbers(six, Wanted(), limit=4) == [6, 5, 4, 3, 2, 1]
    assert await numbers(six, Wanted(), limit=6) == [6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(actor="key:7"), [5, 2]),
        (Wanted(person="user:1"), [6, 5, 2, 1]),
        (Wanted(action="layout.created"), [3, 1]),
        (Wanted(target_kind="layout"), [6, 3, 2, 1]),
        (Wanted(target_kind="layout", target_id="1"), [6, 2, 1]),
        (Wanted(target_kind="segment", person="user:2"), [4]),
        (Wanted(action="issue.published"), []),
    ],
)
async def test_they_are_found_by_who_what_and_to_what(six: AsyncEngine, wanted: Wanted, expected: list[int]) -> None:
    assert await numbers(six, wanted, limit=2) == expected


async def test_they_are_found_by_time(six: AsyncEngine) -> None:
    async with six.connect() as connection:
        third = (await store.list_after(connection, 2, limit=1))[0].at
    just_after = third + timedelta(microseconds=1)
    assert await numbers(six, Wanted(since=third)) == [6, 5, 4, 3]
    assert await numbers(six, Wanted(until=third)) == [2, 1]
    assert await numbers(six, Wanted(since=third, until=just_after)) == [3]


async def test_an_export_has_every_entry_in_order_and_is_an_entry_itself(
    six: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_audit, "EXPORT_PAGE_ENTRIES", 4)
    lines = b"".join([piece async for piece in await begin_export(six, Wanted(), by=OTHER)]).splitlines()
    assert [json.loads(line)["number"] for line in lines] == [1, 2, 3, 4, 5, 6]
    rest = await begin_export(six, Wanted(target_kind="layout"), by=OTHER, after_number=2)
    assert [json.loads(line)["number"] for line in b"".join([piece async for piece in rest]).splitlines()] == [3, 6]
    async with six.begin() as connection:
        await store.seal(connection, entries_max=10)
        noted = await store.list_after(connection, 6, limit=10)
    assert [(one.action, one.actor) for one in noted] == [("audit.exported", "user:2")] * 2
    assert json.loads(noted[1].after or "") == {"after_number": 2, "since": None, "until": None, "action": None}
