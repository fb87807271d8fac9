"""The JSON API on an issue's steps; below `/api/v1/issues`."""

from datetime import datetime

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import requires
from broadsheet_common.http.pagination import (
    PAGE_SIZE_DEFAULT,
    Page,
    PageCursor,
    PageLimit,
    decode_cursor,
    encode_cursor,
)
from broadsheet_common.http.problems import NotFoundError
from broadsheet_common.http.record_id import PathId
from broadsheet_common.http.route_rules import JsonRequest, documents
from broadsheet_publishing.history import store
from broadsheet_publishing.history.step import StepName
from broadsheet_publishing.issues.interface import find_issue, newsletter_of_issue


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """`actor` is who took it, as in `created_by`, or `schedule`; `version` the issue's at that time."""

    id: int
    at: datetime
    actor: str
    step: StepName
    version: int
    note: str


class HistoryController(Controller):
    path = "/api/v1/issues"
    tags = ("Issues",)
    request_class = JsonRequest

    @get(
        "/{issue_id:int}/history",
        operation_id="listIssueSteps",
        guards=[requires("issues:read", newsletter=newsletter_of_issue)],
        summary="Who did what with an issue, newest first",
        responses=documents(NotFoundError),
    )
    async def list_steps(
        self,
        issue_id: PathId,
        engine: NamedDependency[AsyncEngine],
        limit: PageLimit = PAGE_SIZE_DEFAULT,
        cursor: PageCursor = None,
    ) -> Page[Step]:
        """Saves are listed as revisions."""
        async with engine.connect() as connection:
            if await find_issue(connection, issue_id) is None:
                raise NotFoundError("There is no such issue.")
            rows = await store.list_steps(connection, issue_id, before_id=decode_cursor(cursor), limit=limit + 1)
        next_cursor = encode_cursor(rows[limit - 1].id) if len(rows) > limit else None
        return Page([Step(**msgspec.structs.asdict(row)) for row in rows[:limit]], next_cursor)
