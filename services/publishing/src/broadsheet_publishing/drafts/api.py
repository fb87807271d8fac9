"""The JSON API on revisions, the saves of an issue; below `/api/v1/issues`."""

from datetime import datetime
from typing import Annotated

import msgspec
import structlog
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.contracts.identity import ServiceRequest, requires
from broadsheet_common.http.entity_tag import IfMatchHeader, PreconditionFailedError, PreconditionRequiredError
from broadsheet_common.http.idempotency import (
    IdempotencyInFlightError,
    IdempotencyKeyHeader,
    IdempotencyKeyReusedError,
    find_first_answer,
    keep_answer,
    replay_body,
)
from broadsheet_common.http.pagination import (
    PAGE_SIZE_DEFAULT,
    Page,
    PageCursor,
    PageLimit,
    decode_cursor,
    encode_cursor,
)
from broadsheet_common.http.problems import InvalidInputError, NotFoundError
from broadsheet_common.http.record_id import RECORD_ID_MAX, PathId
from broadsheet_common.http.route_rules import JsonRequest, documents
from broadsheet_publishing.compiling.compiler import Compiler
from broadsheet_publishing.compiling.issue_source import Format
from broadsheet_publishing.drafts import revision_store
from broadsheet_publishing.drafts.compare_revisions import FieldChange, compare_revisions
from broadsheet_publishing.drafts.restore_revision import find_revision, restore_revision
from broadsheet_publishing.drafts.save_draft import NotADraftError
from broadsheet_publishing.issues.interface import IssueRow, find_issue, newsletter_of_issue, read_attribute_names
from broadsheet_publishing.issues.show_issue import show_issue, with_faults
from broadsheet_publishing.issues.wire import Issue, draft_tag, summary_tag
from broadsheet_publishing.tables import idempotency_key
from broadsheet_publishing.variants.ab_test import AbTest

_log = structlog.get_logger()

OtherVersion = Annotated[
    int,
    QueryParameter(name="with", ge=1, le=RECORD_ID_MAX, description="The version to compare it with"),
]


class RevisionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One save of a draft. `size_bytes` is that of its texts; `restored_from` the version whose content it brought
    back.
    """

    version: int
    title: str
    format: Format
    size_bytes: int
    saved_at: datetime
    saved_by: str
    restored_from: int | None


class Revision(RevisionSummary, frozen=True, kw_only=True):
    """With its content."""

    subject: str | None
    preheader: str
    content: str
    text_content: str | None
    layout_id: int | None
    ab_test: AbTest | None


class RevisionChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What the version `after` changed of the version `before`."""

    before: int
    after: int
    changes: list[FieldChange]


class RevisionController(Controller):
    path = "/api/v1/issues"
    tags = ("Revisions",)
    request_class = JsonRequest

    @get(
        "/{issue_id:int}/revisions",
        operation_id="listRevisions",
        guards=[requires("issues:read", newsletter=newsletter_of_issue)],
        summary="List the saves of an issue, newest first",
        responses=documents(NotFoundError),
    )
    async def list_revisions(
        self,
        issue_id: PathId,
        engine: NamedDependency[AsyncEngine],
        limit: PageLimit = PAGE_SIZE_DEFAULT,
        cursor: PageCursor = None,
    ) -> Page[RevisionSummary]:
        """The newest fifty are all there; of older ones, fewer the older they are."""
        async with engine.connect() as connection:
            await _find(connection, issue_id)
            rows = await revision_store.list_revisions(
                connection, issue_id, before_version=decode_cursor(cursor), limit=limit + 1
            )
        next_cursor = encode_cursor(rows[limit - 1].version) if len(rows) > limit else None
        return Page([RevisionSummary(**msgspec.structs.asdict(row)) for row in rows[:limit]], next_cursor)

    @get(
        "/{issue_id:int}/revisions/{version:int}",
        operation_id="getRevision",
        guards=[requires("issues:read", newsletter=newsletter_of_issue)],
        summary="Get an issue as it was saved",
        responses=documents(NotFoundError),
    )
    async def get_revision(self, issue_id: PathId, version: PathId, engine: NamedDependency[AsyncEngine]) -> Revision:
        async with engine.connect() as connection:
            row, draft = await find_revision(connection, issue_id, version)
        return Revision(**(msgspec.structs.asdict(draft) | msgspec.structs.asdict(row)))

    @get(
        "/{issue_id:int}/revisions/{version:int}/changes",
        operation_id="compareRevisions",
        guards=[requires("issues:read", newsletter=newsletter_of_issue)],
        summary="What one save of an issue changed of another",
        responses=documents(NotFoundError),
    )
    async def compare_revisions(
        self, issue_id: PathId, version: PathId, other: OtherVersion, engine: NamedDependency[AsyncEngine]
    ) -> RevisionChanges:
        """The older one is `before`."""
        before, after = sorted((version, other))
        async with engine.connect() as connection:
            _, old = await find_revision(connection, issue_id, before)
            _, new = await find_revision(connection, issue_id, after)
        return RevisionChanges(before=before, after=after, changes=await compare_revisions(old, new))

    @post(
        "/{issue_id:int}/revisions/{version:int}/restore",
        operation_id="restoreRevision",
        summary="Make a draft what it was at an earlier save",
        status_code=200,
        guards=[requires("issues:write", newsletter=newsletter_of_issue)],
        responses=documents(
            NotFoundError,
            NotADraftError,
            InvalidInputError,
            PreconditionRequiredError,
            PreconditionFailedError,
            IdempotencyKeyReusedError,
            IdempotencyInFlightError,
        ),
    )
    async def restore_revision(
        self,
        request: ServiceRequest,
        issue_id: PathId,
        version: PathId,
        engine: NamedDependency[AsyncEngine],
        compiler: NamedDependency[Compiler],
        if_match: IfMatchHeader = None,
        key: IdempotencyKeyHeader = None,
    ) -> Response[Issue]:
        """As a new version, so that it can be undone as well."""
        async with engine.begin() as connection:
            attributes = await read_attribute_names(connection)
            answer = await find_first_answer(connection, idempotency_key, request, key)
            if answer is None:
                row = await restore_revision(
                    connection,
                    issue_id,
                    version,
                    if_match=if_match,
                    tag_of=draft_tag,
                    by=request.user,
                )
                issue = await show_issue(connection, row)
                await keep_answer(connection, idempotency_key, request, key, status=200, body=issue)
            else:
                issue = replay_body(answer, Issue)
        if answer is None:
            _log.info("publishing.revision_restored", issue_id=issue.id, restored=version, version=issue.version)
        return _answer(await with_faults(issue, attributes, compiler))


async def _find(connection: AsyncConnection, issue_id: int) -> IssueRow:
    row = await find_issue(connection, issue_id)
    if row is None:
        raise NotFoundError("There is no such issue.")
    return row


def _answer(issue: Issue, *, status_code: int = 200) -> Response[Issue]:
    return Response(issue, status_code=status_code, headers={"ETag": summary_tag(issue)})
