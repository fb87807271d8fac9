"""`/admin/audit`: who did what and when, newest first, with a look at the chain of what is shown."""

from collections.abc import Sequence
from typing import Final

from litestar import get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler

from broadsheet_common.http.pagination import decode_cursor, encode_cursor
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.admin.audit.action_words import label_of, path_of, sentence_around_target
from broadsheet_gateway.admin.audit.filter_form import export_query, page_query, read_filter, wanted_of
from broadsheet_gateway.admin.audit.target_names import TargetNames, ask_target_names
from broadsheet_gateway.admin.audit.views import AuditPage, EntryRow
from broadsheet_gateway.admin.page_context import PageContext
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
    names = await ask_target_names(context, shown)
    view = AuditPage(
        signed_in=context.session.signed_in,
        entries=tuple(_row(entry, names, is_chained=_is_chained(entry, found)) for entry in shown),
        filter=given,
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


def _row(entry: Entry, names: TargetNames, *, is_chained: bool) -> EntryRow:
    around = sentence_around_target(entry.action)
    return EntryRow(
        number=entry.number,
        at=entry.at,
        action=entry.action,
        sentence=(label_of(entry.action), "") if around is None else around,
        target="" if around is None else names.of(entry.target_kind, entry.target_id),
        target_path=path_of(entry.action, entry.target_id),
        target_code=entry.target_kind if entry.target_id is None else f"{entry.target_kind} {entry.target_id}",
        actor=names.accounts.get(entry.actor, entry.actor),
        actor_code=entry.actor,
        person="" if entry.person == entry.actor else names.accounts.get(entry.person, entry.person),
        person_code=entry.person,
        source=entry.source or "",
        newsletter="" if entry.newsletter_id is None else names.newsletter(entry.newsletter_id),
        before=entry.before or "",
        after=entry.after or "",
        hash=entry.hash.hex(),
        is_chained=is_chained,
    )


AUDIT_HANDLERS: tuple[HTTPRouteHandler, ...] = (show_audit_log,)
