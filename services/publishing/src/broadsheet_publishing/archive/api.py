"""What the gateway's public pages ask about the archive (`/public/archive`), and the step that takes an issue out of it
or in (below `/api/v1/issues`).
"""

from datetime import datetime
from typing import Annotated

import msgspec
import structlog
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import ServiceRequest, requires
from broadsheet_common.http.idempotency import (
    IdempotencyInFlightError,
    IdempotencyKeyHeader,
    IdempotencyKeyReusedError,
    find_first_answer,
    keep_answer,
    replay_body,
)
from broadsheet_common.http.problems import InvalidInputError, NotFoundError
from broadsheet_common.http.record_id import RECORD_ID_MAX, PathId
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_publishing.archive.change_archive import NotPublishedError, change_archive
from broadsheet_publishing.archive.read_archive import Archive, ArchiveFeed, ArchivePage, ArchiveReader
from broadsheet_publishing.issues.interface import newsletter_of_issue
from broadsheet_publishing.issues.show_issue import show_issue
from broadsheet_publishing.issues.wire import Issue, summary_tag
from broadsheet_publishing.tables import idempotency_key

PAGE_ISSUES_MAX = 50
SITEMAP_MAX = 50_000
"""Addresses in one site map (sitemaps.org)."""

_log = structlog.get_logger()

BeforeId = Annotated[
    int | None,
    QueryParameter(name="before_id", ge=1, le=RECORD_ID_MAX, description="Those published before this issue"),
]
ItemLimit = Annotated[int, QueryParameter(name="limit", ge=1, le=PAGE_ISSUES_MAX, description="Issues a page")]
AddressLimit = Annotated[int, QueryParameter(name="limit", ge=1, le=SITEMAP_MAX, description="Addresses at most")]


class SitemapEntry(msgspec.Struct, frozen=True, kw_only=True):
    """`issue_slug` null: the list of the newsletter's issues."""

    newsletter_slug: str
    issue_slug: str | None
    updated_at: datetime


class Sitemap(msgspec.Struct, frozen=True):
    items: list[SitemapEntry]


class ArchiveChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`in_archive` true: everybody may read the issue on the web, if its newsletter has an archive."""

    in_archive: bool


class PublicArchiveController(Controller):
    path = "/public/archive"
    tags = ("Public pages",)
    guards = (requires("public"),)
    request_class = JsonRequest

    @get("/", operation_id="readSitemap", summary="The addresses of all archives", responses=documents())
    async def read_sitemap(
        self, archive_reader: NamedDependency[ArchiveReader], limit: AddressLimit = SITEMAP_MAX
    ) -> Sitemap:
        """Without hidden ones."""
        rows = await archive_reader.read_sitemap(limit=limit)
        return Sitemap([SitemapEntry(**msgspec.structs.asdict(row)) for row in rows])

    @get(
        "/{newsletter_slug:str}/issues",
        operation_id="listArchive",
        summary="The issues in a newsletter's archive, newest first",
        responses=documents(NotFoundError),
    )
    async def list_archive(
        self,
        newsletter_slug: FromPath[str],
        archive_reader: NamedDependency[ArchiveReader],
        before_id: BeforeId = None,
        limit: ItemLimit = 20,
    ) -> Archive:
        return await archive_reader.read_list(newsletter_slug, before_id=before_id, limit=limit)

    @get(
        "/{newsletter_slug:str}/issues/{issue_slug:str}",
        operation_id="readArchivedIssue",
        summary="An issue as everybody may read it",
        responses=documents(NotFoundError),
    )
    async def read_issue(
        self,
        newsletter_slug: FromPath[str],
        issue_slug: FromPath[str],
        archive_reader: NamedDependency[ArchiveReader],
    ) -> ArchivePage:
        return await archive_reader.read_issue(newsletter_slug, issue_slug)

    @get(
        "/{newsletter_slug:str}/feed",
        operation_id="readArchiveFeed",
        summary="The newest issues of an archive with their contents",
        responses=documents(NotFoundError),
    )
    async def read_feed(
        self, newsletter_slug: FromPath[str], archive_reader: NamedDependency[ArchiveReader]
    ) -> ArchiveFeed:
        return await archive_reader.read_feed(newsletter_slug)


class ArchiveStepController(Controller):
    path = "/api/v1/issues"
    tags = ("Issues",)
    request_class = JsonRequest

    @post(
        "/{issue_id:int}/archive",
        operation_id="changeArchive",
        summary="Take a published issue out of the archive, or in",
        status_code=200,
        guards=[requires("issues:publish", newsletter=newsletter_of_issue), json_only],
        responses=documents(
            NotFoundError,
            NotPublishedError,
            InvalidInputError,
            IdempotencyKeyReusedError,
            IdempotencyInFlightError,
            body=True,
        ),
    )
    async def change_archive(
        self,
        request: ServiceRequest,
        issue_id: PathId,
        data: JSONBody[ArchiveChoice],
        engine: NamedDependency[AsyncEngine],
        key: IdempotencyKeyHeader = None,
    ) -> Response[Issue]:
        """Public pages follow within a minute. What is so already stays so, and is no step."""
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return _answer(replay_body(answer, Issue))
            row, changed = await change_archive(connection, issue_id, in_archive=data.in_archive, by=request.user)
            issue = await show_issue(connection, row)
            await keep_answer(connection, idempotency_key, request, key, status=200, body=issue)
        if changed:
            _log.info("publishing.archive_changed", issue_id=issue.id, in_archive=data.in_archive)
        return _answer(issue)


def _answer(issue: Issue) -> Response[Issue]:
    return Response(issue, headers={"ETag": summary_tag(issue)})
