"""`/admin/audit`: who did what and when, newest first, with a look at the chain of what is shown."""

from collections.abc import Iterable, Sequence
from typing import Final

from litestar import get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.pagination import decode_cursor, encode_cursor
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.accounts.interface import find_user
from broadsheet_gateway.admin.audit.filter_form import ACTIONS, export_query, page_query, read_filter, wanted_of
from broadsheet_gateway.admin.audit.views import AuditPage, EntryRow
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.api_keys.interface import find_api_key_name
from broadsheet_gateway.audit.entry import Entry, hash_of
from broadsheet_gateway.audit.interface import list_newest, read_head
from broadsheet_gateway.http.responses import PageResponse

ENTRIES_SHOWN: Final = 50


@get("/audit", include_in_schema=False, opt=needs("audit:read", everywhere=True))
async def show_audit_log(
    context: NamedDependency[PageContext],
) -> PageResponse:
    given = read_filter(context.request.query_params)
    wanted, errors = wanted_of(given, context.session.zones.installation)
    async with context.engine.connect() as connection:
        end = await read_head(connection)
        found = await list_newest(
            connection,
            wanted,
            before_number=decode_cursor(context.request.query_params.get("cursor")),
            limit=ENTRIES_SHOWN + 1,
        )
        shown = found[:ENTRIES_SHOWN]
        names = await _names_of(connection, {word for entry in shown for word in (entry.actor, entry.person)})
    view = AuditPage(
        signed_in=context.session.signed_in,
        entries=tuple(_row(entry, names, is_chained=_is_chained(entry, found)) for entry in shown),
        filter=given,
        actions=ACTIONS,
        next_query=page_query(given, encode_cursor(shown[-1].number)) if len(found) > ENTRIES_SHOWN else "",
        export_query=export_query(wanted),
        end="" if end is None or end.number == 0 else str(end),
        errors=errors,
    )
    return context.responder.page(view, status=422 if errors else 200)


def _is_chained(entry: Entry, found: Sequence[Entry]) -> bool:
    """Whether its hash is that of its text after the hash it names, and the entry before has that hash, if it is here.

    That nothing else was changed, only the command that walks along the whole chain can say.
    """
    before = next((one for one in found if one.number == entry.number - 1), None)
    follows = before is None or before.hash == entry.previous_hash
    return follows and hash_of(entry, previous_hash=entry.previous_hash) == entry.hash


async def _names_of(connection: AsyncConnection, words: Iterable[str]) -> dict[str, str]:
    """Of `user:1` and `key:1`; at most two an entry."""
    names: dict[str, str] = {}
    for word in sorted(words):
        kind, _, number = word.partition(":")
        if not (number.isascii() and number.isdigit()):
            continue
        if kind == "user":
            user = await find_user(connection, int(number))
            if user is not None:
                names[word] = f"{user.username} ({word})"
        elif kind == "key":
            name = await find_api_key_name(connection, int(number))
            if name is not None:
                names[word] = f"key {name} ({word})"
    return names


def _row(entry: Entry, names: dict[str, str], *, is_chained: bool) -> EntryRow:
    return EntryRow(
        number=entry.number,
        at=entry.at,
        action=entry.action,
        actor=names.get(entry.actor, entry.actor),
        person="" if entry.person == entry.actor else names.get(entry.person, entry.person),
        source=entry.source or "",
        target=entry.target_kind if entry.target_id is None else f"{entry.target_kind} {entry.target_id}",
        newsletter="" if entry.newsletter_id is None else f"newsletter {entry.newsletter_id}",
        before=entry.before or "",
        after=entry.after or "",
        hash=entry.hash.hex(),
        is_chained=is_chained,
    )


AUDIT_HANDLERS: tuple[HTTPRouteHandler, ...] = (show_audit_log,)
