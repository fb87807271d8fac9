"""The JSON API on issues: `/api/v1/issues`. Saving drafts is in `drafts/api.py`."""

from typing import Annotated

import msgspec
import structlog
from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import ServiceRequest, requires
from broadsheet_common.http.idempotency import (
    IdempotencyInFlightError,
    IdempotencyKeyHeader,
    IdempotencyKeyReusedError,
    find_first_answer,
    keep_answer,
    replay,
)
from broadsheet_common.http.pagination import (
    PAGE_SIZE_DEFAULT,
    Page,
    PageCursor,
    PageLimit,
    decode_cursor,
    encode_cursor,
)
from broadsheet_common.http.problems import ConflictError, InvalidInputError, NotFoundError
from broadsheet_common.http.record_id import RECORD_ID_MAX, PathId, RecordId
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_publishing.compiling.compiler import Compiler
from broadsheet_publishing.drafts.create_draft import NewsletterArchivedError
from broadsheet_publishing.drafts.draft import parse_draft
from broadsheet_publishing.drafts.save_draft import SlugTakenError
from broadsheet_publishing.fan_out.worker import FanOutWorker
from broadsheet_publishing.issues import store
from broadsheet_publishing.issues.cancel_issue import AlreadySentError, cancel_issue
from broadsheet_publishing.issues.compile_draft import IssueHasFaultsError, compile_draft
from broadsheet_publishing.issues.create_issue import NewIssue, compile_new_issue, create_issue
from broadsheet_publishing.issues.publish_issue import (
    AlreadyPublishedError,
    DraftChangedError,
    NewsletterNotReadyError,
    NoRecipientsError,
    SegmentGoneError,
    publish_issue,
)
from broadsheet_publishing.issues.show_issue import show_issue, with_faults
from broadsheet_publishing.issues.wire import Issue, IssueFields, IssueSummary, issue_summary, summary_tag
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.schedule.schedule import RAW_CHARS_MAX, Occurrence
from broadsheet_publishing.schedule.schedule_issue import schedule_issue, unschedule_issue
from broadsheet_publishing.tables import idempotency_key

_log = structlog.get_logger()

NewsletterFilter = Annotated[
    int | None, QueryParameter(name="newsletter_id", ge=1, le=RECORD_ID_MAX, description="Issues of this newsletter")
]


class IssueInput(IssueFields, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A new issue. `newsletter_id` null is the default newsletter; every other field may follow later, unless
    `publish` is true.

    With a `segment_id` it goes to those of the newsletter's confirmed subscribers who are in the segment when it is
    published.
    """

    newsletter_id: RecordId | None = None
    publish: bool = False


class ScheduleInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When an issue is to be sent: `at` with an offset (`2026-10-25T08:00:00Z`), or a local time in `time_zone`.

    A local time that does not exist because the clocks are put forward is refused. One that occurs twice because
    they are put back needs `occurrence`.
    """

    at: Annotated[str, msgspec.Meta(max_length=RAW_CHARS_MAX)]
    time_zone: Annotated[str, msgspec.Meta(max_length=RAW_CHARS_MAX)] | None = None
    occurrence: Occurrence | None = None


class IssueController(Controller):
    path = "/api/v1/issues"
    tags = ("Issues",)
    request_class = JsonRequest

    @get(
        operation_id="listIssues",
        summary="List issues with their counts, newest first",
        guards=[requires("read")],
        responses=documents(),
    )
    async def list_issues(
        self,
        engine: NamedDependency[AsyncEngine],
        newsletter_id: NewsletterFilter = None,
        limit: PageLimit = PAGE_SIZE_DEFAULT,
        cursor: PageCursor = None,
    ) -> Page[IssueSummary]:
        async with engine.connect() as connection:
            rows = await store.list_issues(
                connection, before_id=decode_cursor(cursor), limit=limit + 1, newsletter_id=newsletter_id
            )
            progress = await store.read_progress(connection, [row.id for row in rows[:limit]])
        return Page([issue_summary(row, progress) for row in rows[:limit]], _next_cursor(rows, limit))

    @get(
        "/{issue_id:int}",
        operation_id="getIssue",
        summary="Get an issue with its counts",
        guards=[requires("read")],
        responses=documents(NotFoundError),
    )
    async def get_issue(self, engine: NamedDependency[AsyncEngine], issue_id: PathId) -> Response[Issue]:
        """A draft's `faults` say why it cannot be published as it is."""
        async with engine.connect() as connection:
            row = await store.find_issue(connection, issue_id)
            if row is None:
                raise NotFoundError("There is no such issue.")
            issue = await show_issue(connection, row)
            attributes = await store.read_attribute_names(connection)
        return _answer(await with_faults(issue, attributes))

    @post(
        operation_id="createIssue",
        summary="Write an issue, and publish it if `publish` is true",
        guards=[requires("write"), json_only],
        responses=documents(
            InvalidInputError,
            IssueHasFaultsError,
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
        compiled = await compile_new_issue(engine, compiler, new) if data.publish else None
        async with engine.begin() as connection:
            attributes = await store.read_attribute_names(connection)
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, Issue)
            row = await create_issue(
                connection, new, compiled=compiled, created_by=request.user.subject, installation=installation
            )
            issue = await show_issue(connection, row)
            await keep_answer(connection, idempotency_key, request, key, status=201, body=issue)
        if data.publish:
            fan_out_worker.wake()
            _log.info("publishing.issue_published", issue_id=issue.id)
        return _answer(await with_faults(issue, attributes), status_code=201)

    @post(
        "/{issue_id:int}/publish",
        operation_id="publishIssue",
        summary="Publish an issue to everybody who is confirmed on its newsletter now",
        status_code=202,
        guards=[requires("write")],
        responses=documents(
            NotFoundError,
            AlreadyPublishedError,
            IssueHasFaultsError,
            NewsletterNotReadyError,
            DraftChangedError,
            NoRecipientsError,
            SegmentGoneError,
            ConflictError,
            IdempotencyKeyReusedError,
            IdempotencyInFlightError,
        ),
    )
    async def publish_issue(
        self,
        request: ServiceRequest,
        issue_id: PathId,
        engine: NamedDependency[AsyncEngine],
        compiler: NamedDependency[Compiler],
        installation: NamedDependency[Installation],
        fan_out_worker: NamedDependency[FanOutWorker],
        key: IdempotencyKeyHeader = None,
    ) -> Response[Issue]:
        """The draft is compiled first; if it is saved meanwhile, nothing is published."""
        compiled = await compile_draft(engine, compiler, issue_id)
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, Issue)
            row = await publish_issue(connection, issue_id, compiled=compiled, installation=installation)
            issue = await show_issue(connection, row)
            await keep_answer(connection, idempotency_key, request, key, status=202, body=issue)
        fan_out_worker.wake()
        _log.info("publishing.issue_published", issue_id=issue.id)
        return Response(issue, status_code=202)

    @post(
        "/{issue_id:int}/schedule",
        operation_id="scheduleIssue",
        summary="Let an issue go out at a time, or at another one than before",
        status_code=200,
        guards=[requires("write"), json_only],
        responses=documents(
            NotFoundError,
            AlreadyPublishedError,
            IssueHasFaultsError,
            NewsletterNotReadyError,
            DraftChangedError,
            ConflictError,
            InvalidInputError,
            IdempotencyKeyReusedError,
            IdempotencyInFlightError,
            body=True,
        ),
    )
    async def schedule_issue(
        self,
        request: ServiceRequest,
        issue_id: PathId,
        data: JSONBody[ScheduleInput],
        engine: NamedDependency[AsyncEngine],
        compiler: NamedDependency[Compiler],
        installation: NamedDependency[Installation],
        key: IdempotencyKeyHeader = None,
    ) -> Response[Issue]:
        """At that time it is published to everybody who is confirmed on its newsletter then.

        If nobody is, it becomes a draft again, with the reason in `status_reason`. What was due while the service
        was down is published when it is up again. The issue is compiled now; to change it, unschedule it.
        """
        compiled = await compile_draft(engine, compiler, issue_id)
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, Issue)
            row = await schedule_issue(
                connection,
                issue_id,
                at=data.at,
                time_zone=data.time_zone,
                occurrence=data.occurrence,
                compiled=compiled,
                installation=installation,
            )
            issue = await show_issue(connection, row)
            await keep_answer(connection, idempotency_key, request, key, status=200, body=issue)
        _log.info("publishing.issue_scheduled", issue_id=issue.id)
        return Response(issue, status_code=200)

    @delete(
        "/{issue_id:int}/schedule",
        operation_id="unscheduleIssue",
        summary="Make a scheduled issue a draft again",
        status_code=200,
        guards=[requires("write")],
        responses=documents(NotFoundError, AlreadyPublishedError, ConflictError),
    )
    async def unschedule_issue(self, issue_id: PathId, engine: NamedDependency[AsyncEngine]) -> Issue:
        """A draft stays one."""
        async with engine.begin() as connection:
            issue = await show_issue(connection, await unschedule_issue(connection, issue_id))
        _log.info("publishing.issue_unscheduled", issue_id=issue.id)
        return issue

    @post(
        "/{issue_id:int}/cancel",
        operation_id="cancelIssue",
        summary="Cancel an issue: a draft for good, or what is left to send of a published one",
        status_code=200,
        guards=[requires("write")],
        responses=documents(NotFoundError, AlreadySentError, IdempotencyKeyReusedError, IdempotencyInFlightError),
    )
    async def cancel_issue(
        self,
        request: ServiceRequest,
        issue_id: PathId,
        engine: NamedDependency[AsyncEngine],
        key: IdempotencyKeyHeader = None,
    ) -> Response[Issue]:
        """No further call to Postmark is begun after the answer. Calls under way end, and their results count.

        Cancelling a cancelled issue changes nothing.
        """
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, Issue)
            row = await cancel_issue(connection, issue_id, cancelled_by=request.user.subject)
            issue = await show_issue(connection, row)
            await keep_answer(connection, idempotency_key, request, key, status=200, body=issue)
        _log.info("publishing.issue_cancelled", issue_id=issue.id)
        return Response(issue, status_code=200)


def _next_cursor(rows: list[store.IssueRow], limit: int) -> str | None:
    """`rows` were read with one more than the page takes, to see whether there is a next page."""
    return encode_cursor(rows[limit - 1].id) if len(rows) > limit else None


def _answer(issue: Issue, *, status_code: int = 200) -> Response[Issue]:
    return Response(issue, status_code=status_code, headers={"ETag": summary_tag(issue)})
