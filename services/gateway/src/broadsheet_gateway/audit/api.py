"""`/api/v1/audit`: who did what and when, as pages or as one file."""

from datetime import datetime
from typing import Annotated, get_args

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.response import Stream
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import AuditAction
from broadsheet_common.contracts.identity import ServiceRequest, requires
from broadsheet_common.http.pagination import PAGE_SIZE_DEFAULT, Page, PageCursor, PageLimit
from broadsheet_common.http.problems import FieldProblem, MalformedRequestError
from broadsheet_common.http.record_id import RECORD_ID_MAX
from broadsheet_common.http.route_rules import JsonRequest, documents, parse_parameter
from broadsheet_gateway.audit.entry import ShownEntry
from broadsheet_gateway.audit.read_audit import begin_export, list_entries
from broadsheet_gateway.audit.store import Wanted

_WORD_CHARS_MAX = 100

Since = Annotated[datetime | None, QueryParameter(name="since", description="Entries from this moment on")]
Until = Annotated[datetime | None, QueryParameter(name="until", description="Entries before this moment")]
Actor = Annotated[
    str | None,
    QueryParameter(name="actor", max_length=_WORD_CHARS_MAX, description="`user:<id>`, `key:<id>` or `schedule`"),
]
Person = Annotated[
    str | None,
    QueryParameter(name="person", max_length=_WORD_CHARS_MAX, description="The user, also behind a key: `user:<id>`"),
]
ActionFilter = Annotated[
    str | None,
    QueryParameter(
        name="action",
        max_length=_WORD_CHARS_MAX,
        description="What was done, as in `issue.published`",
        schema_extra={"enum": sorted(get_args(AuditAction))},
    ),
]
TargetKind = Annotated[
    str | None,
    QueryParameter(name="target_kind", max_length=_WORD_CHARS_MAX, description="What it was done to, as in `issue`"),
]
TargetId = Annotated[
    str | None, QueryParameter(name="target_id", max_length=_WORD_CHARS_MAX, description="The target's id")
]
AfterNumber = Annotated[
    int, QueryParameter(name="after_number", ge=0, le=RECORD_ID_MAX, description="Only entries after this one")
]


class AuditController(Controller):
    path = "/api/v1/audit"
    tags = ("Audit",)
    request_class = JsonRequest

    @get(
        operation_id="listAuditEntries",
        summary="List audit entries, newest first",
        guards=[requires("audit:read")],
        responses=documents(),
    )
    async def list_entries(
        self,
        engine: NamedDependency[AsyncEngine],
        since: Since = None,
        until: Until = None,
        actor: Actor = None,
        person: Person = None,
        action: ActionFilter = None,
        target_kind: TargetKind = None,
        target_id: TargetId = None,
        limit: PageLimit = PAGE_SIZE_DEFAULT,
        cursor: PageCursor = None,
    ) -> Page[ShownEntry]:
        wanted = _wanted(since, until, actor, person, action, target_kind, target_id)
        async with engine.connect() as connection:
            return await list_entries(connection, wanted, cursor=cursor, limit=limit)

    @get(
        "/export",
        operation_id="exportAudit",
        summary="Export audit entries as JSON lines, oldest first",
        guards=[requires("audit:read")],
        media_type="application/jsonl",
        responses=documents(),
    )
    async def export(
        self,
        request: ServiceRequest,
        engine: NamedDependency[AsyncEngine],
        since: Since = None,
        until: Until = None,
        actor: Actor = None,
        person: Person = None,
        action: ActionFilter = None,
        target_kind: TargetKind = None,
        target_id: TargetId = None,
        after_number: AfterNumber = 0,
    ) -> Stream:
        wanted = _wanted(since, until, actor, person, action, target_kind, target_id)
        lines = await begin_export(engine, wanted, by=request.user, after_number=after_number)
        return Stream(
            lines,
            media_type="application/jsonl",
            headers={"Content-Disposition": 'attachment; filename="audit.jsonl"', "Cache-Control": "no-store"},
        )


def _wanted(
    since: datetime | None,
    until: datetime | None,
    actor: str | None,
    person: str | None,
    action: str | None,
    target_kind: str | None,
    target_id: str | None,
) -> Wanted:
    for name, moment in (("since", since), ("until", until)):
        if moment is not None and moment.tzinfo is None:
            raise MalformedRequestError(errors=(FieldProblem(f"/{name}", "needs a time zone, for example Z"),))
    parse_parameter(action, AuditAction | None, pointer="/action")
    return Wanted(
        since=since,
        until=until,
        actor=actor,
        person=person,
        action=action,
        target_kind=target_kind,
        target_id=target_id,
    )
