"""The JSON API on issues: `/api/v1/issues`."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec
import structlog
from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

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
from broadsheet_publishing.fan_out.worker import FanOutWorker
from broadsheet_publishing.issues import store
from broadsheet_publishing.issues.cancel_issue import AlreadySentError, cancel_issue
from broadsheet_publishing.issues.create_issue import create_issue
from broadsheet_publishing.issues.issue import RAW_TITLE_CHARS_MAX, IssueContent, Status, status_of, status_reason
from broadsheet_publishing.issues.publish_issue import (
    AlreadyPublishedError,
    NoRecipientsError,
    SegmentGoneError,
    publish_issue,
)
from broadsheet_publishing.issues.store import Counts
from broadsheet_publishing.schedule.schedule import RAW_CHARS_MAX, Occurrence
from broadsheet_publishing.schedule.schedule_issue import schedule_issue, unschedule_issue
from broadsheet_publishing.tables import idempotency_key

_log = structlog.get_logger()

NewsletterFilter = Annotated[
    int | None, QueryParameter(name="newsletter_id", ge=1, le=RECORD_ID_MAX, description="Issues of this newsletter")
]


class IssueSummary(msgspec.Struct, frozen=True, kw_only=True):
    """An issue as lists show it. `status_reason` says why it is paused, or what it waits for.

    `scheduled_at` is when it goes out, or was to; `scheduled_local` in `scheduled_time_zone` is what its author chose,
    where it was a local time. `counts` is all 0 for a draft; `parked` of its uncertain deliveries wait for a person's
    decision.
    """

    id: int
    newsletter_id: int
    segment_id: int | None
    title: str
    status: Status
    status_reason: str | None
    created_by: str
    created_at: datetime
    updated_at: datetime
    scheduled_at: datetime | None
    scheduled_local: str | None
    scheduled_time_zone: str | None
    published_at: datetime | None
    finished_at: datetime | None
    parked: int
    counts: Counts


class Issue(IssueSummary, frozen=True, kw_only=True):
    """An issue with its content."""

    html_content: str
    text_content: str


class IssueInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new issue; the contents are Liquid templates. `newsletter_id` null is the default newsletter.

    With a `segment_id` it goes to those of the newsletter's confirmed subscribers who are in the segment when it is
    published.
    """

    title: Annotated[str, msgspec.Meta(max_length=RAW_TITLE_CHARS_MAX)]
    html_content: str
    text_content: str
    newsletter_id: RecordId | None = None
    segment_id: RecordId | None = None
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
        return Page([_summary(row, progress) for row in rows[:limit]], _next_cursor(rows, limit))

    @get(
        "/{issue_id:int}",
        operation_id="getIssue",
        summary="Get an issue with its counts",
        guards=[requires("read")],
        responses=documents(NotFoundError),
    )
    async def get_issue(self, engine: NamedDependency[AsyncEngine], issue_id: PathId) -> Issue:
        async with engine.connect() as connection:
            row = await store.find_issue(connection, issue_id)
            if row is None:
                raise NotFoundError("There is no such issue.")
            return await _issue(connection, row)

    @post(
        operation_id="createIssue",
        summary="Write an issue, and publish it if `publish` is true",
        guards=[requires("write"), json_only],
        responses=documents(
            InvalidInputError,
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
        fan_out_worker: NamedDependency[FanOutWorker],
        key: IdempotencyKeyHeader = None,
    ) -> Response[Issue]:
        # Two templates of the largest size take about half a second to parse: not on the event loop.
        content = await asyncio.to_thread(
            IssueContent.parse, title=data.title, html_content=data.html_content, text_content=data.text_content
        )
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, Issue)
            row = await create_issue(
                connection,
                content=content,
                newsletter_id=data.newsletter_id,
                segment_id=data.segment_id,
                created_by=request.user.subject,
                publish=data.publish,
            )
            issue = await _issue(connection, row)
            await keep_answer(connection, idempotency_key, request, key, status=201, body=issue)
        if data.publish:
            fan_out_worker.wake()
            _log.info("publishing.issue_published", issue_id=issue.id)
        return Response(issue, status_code=201)

    @post(
        "/{issue_id:int}/publish",
        operation_id="publishIssue",
        summary="Publish an issue to everybody who is confirmed on its newsletter now",
        status_code=202,
        guards=[requires("write")],
        responses=documents(
            NotFoundError,
            AlreadyPublishedError,
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
        fan_out_worker: NamedDependency[FanOutWorker],
        key: IdempotencyKeyHeader = None,
    ) -> Response[Issue]:
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, Issue)
            row = await publish_issue(connection, issue_id)
            issue = await _issue(connection, row)
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
        key: IdempotencyKeyHeader = None,
    ) -> Response[Issue]:
        """At that time it is published to everybody who is confirmed on its newsletter then.

        If nobody is, it becomes a draft again, with the reason in `status_reason`. What was due while the service
        was down is published when it is up again.
        """
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, Issue)
            row = await schedule_issue(
                connection, issue_id, at=data.at, time_zone=data.time_zone, occurrence=data.occurrence
            )
            issue = await _issue(connection, row)
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
            issue = await _issue(connection, await unschedule_issue(connection, issue_id))
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
            issue = await _issue(connection, row)
            await keep_answer(connection, idempotency_key, request, key, status=200, body=issue)
        _log.info("publishing.issue_cancelled", issue_id=issue.id)
        return Response(issue, status_code=200)


def _next_cursor(rows: list[store.IssueRow], limit: int) -> str | None:
    """`rows` were read with one more than the page takes, to see whether there is a next page."""
    return encode_cursor(rows[limit - 1].id) if len(rows) > limit else None


def _summary(row: store.IssueRow, all_progress: Mapping[int, store.ProgressRow]) -> IssueSummary:
    # A draft that is being published at this moment is still shown as a draft, with all its fields.
    found = all_progress.get(row.id) if row.status == "published" else None
    return IssueSummary(
        id=row.id,
        newsletter_id=row.newsletter_id,
        segment_id=row.segment_id,
        title=row.title,
        status=status_of(row.status, found.progress if found else None),
        status_reason=status_reason(found.progress, found.parked) if found else row.schedule_note,
        created_by=row.created_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
        scheduled_at=row.scheduled_at,
        scheduled_local=row.scheduled_local,
        scheduled_time_zone=row.scheduled_time_zone,
        published_at=row.published_at,
        finished_at=found.finished_at if found else None,
        parked=found.parked if found else 0,
        counts=found.counts if found else Counts(),
    )


async def _issue(connection: AsyncConnection, row: store.IssueRow) -> Issue:
    summary = _summary(row, await store.read_progress(connection, [row.id]))
    html_content, text_content = await store.read_content(connection, row.id)
    fields = {name: getattr(summary, name) for name in summary.__struct_fields__}
    return Issue(**fields, html_content=html_content, text_content=text_content)
