"""The JSON API on issues: `/api/v1/issues`. The steps of their lives are in `steps_api.py` and `schedule/api.py`, their
revisions in `drafts/api.py`.
"""

from typing import Annotated

import structlog
from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import NARROWED_BY_HANDLER, ServiceRequest, requires
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
from broadsheet_common.http.preferences import RETURN_MINIMAL, PreferHeader, prefers_minimal
from broadsheet_common.http.problems import InvalidInputError, NotFoundError
from broadsheet_common.http.record_id import RECORD_ID_MAX, PathId, RecordId
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_publishing.checks.run_checks import BlockedByFindingsError, require_no_blocks
from broadsheet_publishing.compiling.compiler import Compiler
from broadsheet_publishing.drafts.create_draft import NewsletterArchivedError, duplicate_issue
from broadsheet_publishing.drafts.delete_draft import delete_draft
from broadsheet_publishing.drafts.draft import parse_draft
from broadsheet_publishing.drafts.save_draft import NotADraftError, SlugTakenError, save_draft
from broadsheet_publishing.fan_out.worker import FanOutWorker
from broadsheet_publishing.issues import store
from broadsheet_publishing.issues.compile_draft import IssueHasFaultsError
from broadsheet_publishing.issues.create_issue import NewIssue, compile_new_issue, create_issue
from broadsheet_publishing.issues.issue import Status
from broadsheet_publishing.issues.newsletter_of_issue import newsletter_of_issue
from broadsheet_publishing.issues.publish_issue import (
    NoRecipientsError,
    SegmentGoneError,
)
from broadsheet_publishing.issues.show_issue import show_issue, with_faults
from broadsheet_publishing.issues.wire import (
    Issue,
    IssueFields,
    IssueSummary,
    SavedIssue,
    draft_tag,
    issue_summary,
    summary_tag,
)
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.newsletters.readiness import NewsletterNotReadyError
from broadsheet_publishing.tables import idempotency_key

_log = structlog.get_logger()

NewsletterFilter = Annotated[
    int | None, QueryParameter(name="newsletter_id", ge=1, le=RECORD_ID_MAX, description="Issues of this newsletter")
]

StatusFilter = Annotated[Status | None, QueryParameter(name="status", description="Issues in this status")]
TitleFilter = Annotated[
    str | None,
    QueryParameter(name="search", min_length=1, max_length=200, description="Issues whose title holds this text"),
]


class IssueInput(IssueFields, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A new issue. `newsletter_id` null is the default newsletter; every other field may follow later, unless
    `publish` is true.

    With a `segment_id` it goes to those of the newsletter's confirmed subscribers who are in the segment when it is
    published.
    """

    newsletter_id: RecordId | None = None
    publish: bool = False


class IssuePatch(IssueFields, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Fields to change; a field that is left out stays unchanged. Null: no subject of its own (the title is it), the
    plain text is made from the content, no segment, the newsletter's layout, a slug made of the title.
    """


class IssueController(Controller):
    path = "/api/v1/issues"
    tags = ("Issues",)
    request_class = JsonRequest

    @get(
        operation_id="listIssues",
        summary="List issues with their counts, newest first",
        guards=[requires("issues:read", newsletter=NARROWED_BY_HANDLER)],
        responses=documents(),
    )
    async def list_issues(
        self,
        request: ServiceRequest,
        engine: NamedDependency[AsyncEngine],
        newsletter_id: NewsletterFilter = None,
        status: StatusFilter = None,
        search: TitleFilter = None,
        limit: PageLimit = PAGE_SIZE_DEFAULT,
        cursor: PageCursor = None,
    ) -> Page[IssueSummary]:
        newsletter_ids = request.user.newsletters_with("issues:read")
        if newsletter_id is not None:
            request.user.require_for("issues:read", newsletter_id)
            newsletter_ids = frozenset({newsletter_id})
        async with engine.connect() as connection:
            chosen = store.IssueFilter(newsletter_ids, status, search)
            rows = await store.list_issues(connection, chosen, before_id=decode_cursor(cursor), limit=limit + 1)
            progress = await store.read_progress(connection, [row.id for row in rows[:limit]])
        return Page([issue_summary(row, progress) for row in rows[:limit]], _next_cursor(rows, limit))

    @get(
        "/{issue_id:int}",
        operation_id="getIssue",
        summary="Get an issue with its counts",
        guards=[requires("issues:read", newsletter=newsletter_of_issue)],
        responses=documents(NotFoundError),
    )
    async def get_issue(
        self, engine: NamedDependency[AsyncEngine], compiler: NamedDependency[Compiler], issue_id: PathId
    ) -> Response[Issue]:
        """A draft's `faults` say why it cannot be published as it is."""
        async with engine.connect() as connection:
            row = await store.find_issue(connection, issue_id)
            if row is None:
                raise NotFoundError("There is no such issue.")
            issue = await show_issue(connection, row)
            attributes = await store.read_attribute_names(connection)
        return _answer(await with_faults(issue, attributes, compiler))

    @post(
        operation_id="createIssue",
        summary="Write an issue, and publish it if `publish` is true",
        guards=[requires("issues:write", newsletter=NARROWED_BY_HANDLER), json_only],
        responses=documents(
            InvalidInputError,
            IssueHasFaultsError,
            BlockedByFindingsError,
            NewsletterArchivedError,
            NewsletterNotReadyError,
            SlugTakenError,
            NoRecipientsError,
            SegmentGoneError,
            IdempotencyKeyReusedError,
            IdempotencyInFlightError,
            body=True,
        ),
    )
    async def create_issue(
        self,
        request: ServiceRequest,
        data: JSONBody[IssueInput],
        engine: NamedDependency[AsyncEngine],
        compiler: NamedDependency[Compiler],
        installation: NamedDependency[Installation],
        fan_out_worker: NamedDependency[FanOutWorker],
        key: IdempotencyKeyHeader = None,
    ) -> Response[Issue]:
        """A draft may lack anything and hold faults, which `faults` lists; what is to be published must not."""
        new = NewIssue(parse_draft(data.given()), data.newsletter_id)
        compiled = await compile_new_issue(engine, compiler, installation, new) if data.publish else None
        if compiled is not None:
            await require_no_blocks(engine, compiler, installation, compiled)
        async with engine.begin() as connection:
            attributes = await store.read_attribute_names(connection)
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                issue = replay_body(answer, Issue)
            else:
                row = await create_issue(connection, new, compiled=compiled, by=request.user, installation=installation)
                # After it is known which newsletter is the default one; a refusal takes the new issue back.
                request.user.require_for("issues:write", row.newsletter_id)
                if data.publish:
                    request.user.require_for("issues:publish", row.newsletter_id)
                issue = await show_issue(connection, row)
                await keep_answer(connection, idempotency_key, request, key, status=201, body=issue)
        if data.publish and answer is None:
            fan_out_worker.wake()
            _log.info("publishing.issue_published", issue_id=issue.id)
        return _answer(await with_faults(issue, attributes, compiler), status_code=201)

    @patch(
        "/{issue_id:int}",
        operation_id="changeIssue",
        summary="Save a draft",
        guards=[requires("issues:write", newsletter=newsletter_of_issue), json_only],
        responses=documents(
            NotFoundError,
            NotADraftError,
            SlugTakenError,
            InvalidInputError,
            PreconditionRequiredError,
            PreconditionFailedError,
            body=True,
        ),
    )
    async def change_issue(
        self,
        request: ServiceRequest,
        issue_id: PathId,
        data: JSONBody[IssuePatch],
        engine: NamedDependency[AsyncEngine],
        compiler: NamedDependency[Compiler],
        if_match: IfMatchHeader = None,
        prefer: PreferHeader = None,
    ) -> Response[Issue] | Response[SavedIssue]:
        """What cannot be published yet is saved too; `faults` says what and where. Every save is kept as a revision.
        A save that changes nothing is none. An editor that saves every few seconds may ask for `return=minimal`.
        """
        values = parse_draft(data.given())
        async with engine.begin() as connection:
            row = await save_draft(
                connection,
                issue_id,
                values,
                if_match=if_match,
                tag_of=draft_tag,
                by=request.user,
            )
            issue = await show_issue(connection, row, known=values)
            attributes = await store.read_attribute_names(connection)
        _log.info("publishing.draft_saved", issue_id=issue.id, version=issue.version)
        issue = await with_faults(issue, attributes, compiler)
        return _minimal_answer(issue) if prefers_minimal(prefer) else _answer(issue)

    @delete(
        "/{issue_id:int}",
        operation_id="deleteIssue",
        summary="Delete a draft with its revisions",
        status_code=204,
        guards=[requires("issues:write", newsletter=newsletter_of_issue)],
        responses=documents(NotFoundError, NotADraftError),
    )
    async def delete_issue(
        self, request: ServiceRequest, issue_id: PathId, engine: NamedDependency[AsyncEngine]
    ) -> None:
        """Or an issue that was cancelled before it was published."""
        async with engine.begin() as connection:
            await delete_draft(connection, issue_id, by=request.user)
        _log.info("publishing.draft_deleted", issue_id=issue_id)

    @post(
        "/{issue_id:int}/duplicate",
        operation_id="duplicateIssue",
        summary="Write a new draft with the content of an issue",
        status_code=201,
        guards=[requires("issues:write", newsletter=newsletter_of_issue)],
        responses=documents(
            NotFoundError, NewsletterArchivedError, IdempotencyKeyReusedError, IdempotencyInFlightError
        ),
    )
    async def duplicate_issue(
        self,
        request: ServiceRequest,
        issue_id: PathId,
        engine: NamedDependency[AsyncEngine],
        compiler: NamedDependency[Compiler],
        key: IdempotencyKeyHeader = None,
    ) -> Response[Issue]:
        """Of any issue, whatever its status."""
        async with engine.begin() as connection:
            attributes = await store.read_attribute_names(connection)
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                issue = replay_body(answer, Issue)
            else:
                row = await duplicate_issue(connection, issue_id, by=request.user)
                issue = await show_issue(connection, row)
                await keep_answer(connection, idempotency_key, request, key, status=201, body=issue)
        if answer is None:
            _log.info("publishing.issue_duplicated", issue_id=issue_id, duplicate_id=issue.id)
        return _answer(await with_faults(issue, attributes, compiler), status_code=201)


def _next_cursor(rows: list[store.IssueRow], limit: int) -> str | None:
    """`rows` were read with one more than the page takes, to see whether there is a next page."""
    return encode_cursor(rows[limit - 1].id) if len(rows) > limit else None


def _answer(issue: Issue, *, status_code: int = 200) -> Response[Issue]:
    return Response(issue, status_code=status_code, headers={"ETag": summary_tag(issue)})


def _minimal_answer(issue: Issue) -> Response[SavedIssue]:
    shown = SavedIssue(**{name: getattr(issue, name) for name in SavedIssue.__struct_fields__})
    return Response(shown, headers={"ETag": summary_tag(shown), "Preference-Applied": RETURN_MINIMAL})
