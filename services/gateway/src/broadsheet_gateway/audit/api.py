"""`/api/v1/audit`: who did what and when, as pages or as one file."""

from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter
from litestar.response import Stream
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import ServiceRequest, requires
from broadsheet_common.http.pagination import PAGE_SIZE_DEFAULT, Page, PageCursor, PageLimit
from broadsheet_common.http.record_id import RECORD_ID_MAX
from broadsheet_common.http.route_rules import JsonRequest, documents
from broadsheet_gateway.audit.entry import ShownEntry
from broadsheet_gateway.audit.entry_filters import wanted_entries
from broadsheet_gateway.audit.read_audit import begin_export, list_entries
from broadsheet_gateway.audit.store import Wanted

_WORD_CHARS_MAX = 100

AfterNumber = Annotated[
    int, QueryParameter(name="after_number", ge=0, le=RECORD_ID_MAX, description="Only entries after this one")
]


class AuditController(Controller):
    path = "/api/v1/audit"
    tags = ("Audit",)
    request_class = JsonRequest
    dependencies = {"wanted": Provide(wanted_entries)}  # noqa: RUF012 - as Litestar declares it

    @get(
        operation_id="listAuditEntries",
        summary="List audit entries, newest first",
        guards=[requires("audit:read")],
        responses=documents(),
    )
    async def list_entries(
        self,
        engine: NamedDependency[AsyncEngine],
        wanted: NamedDependency[Wanted],
        limit: PageLimit = PAGE_SIZE_DEFAULT,
        cursor: PageCursor = None,
    ) -> Page[ShownEntry]:
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
        wanted: NamedDependency[Wanted],
        after_number: AfterNumber = 0,
    ) -> Stream:
        lines = await begin_export(engine, wanted, by=request.user, after_number=after_number)
        return Stream(
            lines,
            media_type="application/jsonl",
            headers={"Content-Disposition": 'attachment; filename="audit.jsonl"', "Cache-Control": "no-store"},
        )
