"""The JSON API on waves; below `/api/v1/issues`."""

from datetime import datetime

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import requires
from broadsheet_common.http.problems import NotFoundError
from broadsheet_common.http.record_id import PathId
from broadsheet_common.http.route_rules import JsonRequest, documents
from broadsheet_publishing.issues.interface import find_issue, newsletter_of_issue, read_now
from broadsheet_publishing.waves import store
from broadsheet_publishing.waves.wave import plan_waves


class IssueWave(msgspec.Struct, frozen=True, kw_only=True):
    """Those whose clocks show the chosen time at `due_at`. `is_fallback`: with those whose time zone is not known.
    `is_past`: the time has come; if it had when the issue was published, the wave went out at once. `recipients` null:
    the issue is not published yet.
    """

    due_at: datetime
    is_fallback: bool
    is_past: bool
    recipients: int | None
    time_zones: tuple[str, ...]


class IssueWaves(msgspec.Struct, frozen=True, kw_only=True):
    waves: list[IssueWave]


class WaveController(Controller):
    path = "/api/v1/issues"
    tags = ("Issues",)
    request_class = JsonRequest

    @get(
        "/{issue_id:int}/waves",
        operation_id="listWaves",
        summary="When an issue reaches readers in which time zones",
        guards=[requires("issues:read", newsletter=newsletter_of_issue)],
        responses=documents(NotFoundError),
    )
    async def list_waves(self, issue_id: PathId, engine: NamedDependency[AsyncEngine]) -> IssueWaves:
        """Of an issue that is scheduled in its readers' time zones; of every other one the list is empty."""
        async with engine.connect() as connection:
            issue = await find_issue(connection, issue_id)
            if issue is None:
                raise NotFoundError("There is no such issue.")
            now = await read_now(connection)
            rows = await store.list_waves(connection, issue_id)
        if rows:
            return IssueWaves(
                waves=[IssueWave(**msgspec.structs.asdict(row), is_past=row.due_at <= now) for row in rows]
            )
        if not issue.in_reader_time_zone or issue.scheduled_local is None:
            return IssueWaves(waves=[])
        return IssueWaves(
            waves=[
                IssueWave(
                    due_at=wave.due_at,
                    is_fallback=issue.scheduled_time_zone in wave.time_zones,
                    is_past=wave.due_at <= now,
                    recipients=None,
                    time_zones=wave.time_zones,
                )
                for wave in plan_waves(datetime.fromisoformat(issue.scheduled_local))
            ]
        )
