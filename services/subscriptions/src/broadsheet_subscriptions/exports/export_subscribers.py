"""All subscribers as CSV or JSON lines, a page at a time, so that memory does not grow with the list.

Each page is a transaction of its own. A single snapshot would have to stay open as long as the slowest client
reads, and would hold back vacuum for the whole database. So an export is not a snapshot: subscribers are listed
by id, each as it was when its page was read. A subscriber that exists the whole time appears exactly once. One
that is created or deleted meanwhile may or may not appear.

The CSV can be imported again: texts are kept as they are (except that an empty text becomes a blank cell), and
tags are a JSON list. Times are for reading only. An import ignores them, because consent counts from when it was
recorded here.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_subscriptions.attributes.interface import list_attributes
from broadsheet_subscriptions.exports import store
from broadsheet_subscriptions.exports.csv_writer import csv_line, csv_lines
from broadsheet_subscriptions.exports.store import ExportedPerson
from broadsheet_subscriptions.imports.reading.column import KnownAttribute, titles_of_attributes
from broadsheet_subscriptions.subscribers.subscription import State
from broadsheet_subscriptions.subscribers.tag_cell import write_tags

PAGE_PEOPLE: Final = 1_000
_EXACT_INTEGER_MAX: Final = 2**53
_TIMES: Final = ("created_at", "confirmed_at", "unsubscribed_at")
_encode = msgspec.json.Encoder().encode


class ExportFilter(msgspec.Struct, frozen=True):
    newsletter_id: int | None
    state: State | None


async def export_csv(
    engine: AsyncEngine, chosen: ExportFilter, *, page_people: int = PAGE_PEOPLE
) -> AsyncIterator[bytes]:
    """With a newsletter, one column holds the state on it. Without, one column holds all subscriptions as JSON."""
    async with engine.connect() as connection:
        known = [KnownAttribute(row.name, row.type, row.label) for row in await list_attributes(connection)]
    one_newsletter = chosen.newsletter_id is not None
    before = ["email", "name", *(["state"] if one_newsletter else []), "tags"]
    after = _TIMES if one_newsletter else ("created_at", "subscriptions")
    attributes = [attribute.name for attribute in known]
    yield csv_line([*before, *titles_of_attributes(before, known, after), *after]).encode()
    async for page in _pages(engine, chosen, page_people):
        yield csv_lines(_cells(person, attributes, one_newsletter=one_newsletter) for person in page).encode()


async def export_json_lines(
    engine: AsyncEngine, chosen: ExportFilter, *, page_people: int = PAGE_PEOPLE
) -> AsyncIterator[bytes]:
    async for page in _pages(engine, chosen, page_people):
        yield b"".join(_encode(person) + b"\n" for person in page)


async def _pages(engine: AsyncEngine, chosen: ExportFilter, page_people: int) -> AsyncIterator[list[ExportedPerson]]:
    after_id = 0
    while True:
        async with engine.connect() as connection:
            page = await store.list_people(
                connection,
                after_id=after_id,
                limit=page_people,
                newsletter_id=chosen.newsletter_id,
                state=chosen.state,
            )
        if not page:
            return
        yield page
        after_id = page[-1].id


def _cells(person: ExportedPerson, attributes: Sequence[str], *, one_newsletter: bool) -> list[str]:
    facts = [write_tags(person.tags), *(_value(person.attributes.get(name)) for name in attributes)]
    created_at = person.created_at.isoformat()
    if not one_newsletter:
        return [person.email, person.name, *facts, created_at, _encode(person.subscriptions).decode()]
    (held,) = person.subscriptions
    times = ("" if time is None else time.isoformat() for time in (held.confirmed_at, held.unsubscribed_at))
    return [person.email, person.name, held.state, *facts, created_at, *times]


def _value(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() if abs(value) > _EXACT_INTEGER_MAX:
            # Postgres writes 1e30 with all its digits.
            return str(float(value))
        case _:
            return str(value)
