"""The JSON API on schedules; below `/api/v1/issues`."""

from typing import Annotated

import msgspec
import structlog
from litestar import Controller, Response, delete, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
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
from broadsheet_common.http.problems import ConflictError, InvalidInputError, NotFoundError
from broadsheet_common.http.record_id import PathId
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_publishing.audience.audience import AudienceChangedError
from broadsheet_publishing.audience.audience_token import AudienceTokenExpiredError
from broadsheet_publishing.audience.expect_audience import ExpectedAudience, expect_audience
from broadsheet_publishing.checks.run_checks import BlockedByFindingsError, require_no_blocks
from broadsheet_publishing.compiling.compiler import Compiler
from broadsheet_publishing.issues.compile_draft import IssueHasFaultsError, compile_draft
from broadsheet_publishing.issues.interface import newsletter_of_issue
from broadsheet_publishing.issues.publish_issue import (
    AlreadyPublishedError,
    DraftChangedError,
    NotApprovedError,
)
from broadsheet_publishing.issues.show_issue import show_issue
from broadsheet_publishing.issues.wire import Issue
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.newsletters.readiness import NewsletterNotReadyError
from broadsheet_publishing.schedule.schedule import RAW_CHARS_MAX, Occurrence
from broadsheet_publishing.schedule.schedule_issue import schedule_issue, unschedule_issue
from broadsheet_publishing.tables import idempotency_key

_log = structlog.get_logger()


class ScheduleInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When an issue is to be sent: `at` with an offset (`2026-10-25T08:00:00Z`), or a local time in `time_zone`.

    A local time that does not exist because the clocks are put forward is refused. One that occurs twice because
    they are put back needs `occurrence`.

    `in_reader_time_zone`: at that local time of each subscriber, as their attribute `time_zone` (an IANA name) says;
    `time_zone`, or else the newsletter's, is for those whose own is not known. Who is confirmed at the first of these
    times gets it. Where it has passed already when the issue is published, it is sent at once. `GET /issues/{id}/waves`
    lists the times.
    `audience`: what the author was shown by `countAudience`. Null: the issue goes out, however many get it.
    """

    at: Annotated[str, msgspec.Meta(max_length=RAW_CHARS_MAX)]
    time_zone: Annotated[str, msgspec.Meta(max_length=RAW_CHARS_MAX)] | None = None
    occurrence: Occurrence | None = None
    in_reader_time_zone: bool = False
    audience: ExpectedAudience | None = None


class ScheduleController(Controller):
    path = "/api/v1/issues"
    tags = ("Issues",)
    request_class = JsonRequest

    @post(
        "/{issue_id:int}/schedule",
        operation_id="scheduleIssue",
        summary="Let an issue go out at a time, or at another one than before",
        status_code=200,
        guards=[requires("issues:publish", newsletter=newsletter_of_issue), json_only],
        responses=documents(
            NotFoundError,
            AlreadyPublishedError,
            IssueHasFaultsError,
            BlockedByFindingsError,
            NewsletterNotReadyError,
            NotApprovedError,
            AudienceChangedError,
            AudienceTokenExpiredError,
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

        The limits of `audience` are tested at that time, and an issue that is not within them becomes a draft again.
        """
        compiled = await compile_draft(engine, compiler, installation, issue_id)
        if compiled is not None:
            await require_no_blocks(engine, compiler, installation, compiled)
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, Issue)
            await expect_audience(connection, issue_id, data.audience)
            row = await schedule_issue(
                connection,
                issue_id,
                at=data.at,
                time_zone=data.time_zone,
                occurrence=data.occurrence,
                in_reader_time_zone=data.in_reader_time_zone,
                compiled=compiled,
                installation=installation,
                by=request.user,
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
        guards=[requires("issues:publish", newsletter=newsletter_of_issue)],
        responses=documents(NotFoundError, AlreadyPublishedError, ConflictError),
    )
    async def unschedule_issue(
        self, request: ServiceRequest, issue_id: PathId, engine: NamedDependency[AsyncEngine]
    ) -> Issue:
        """A draft stays one."""
        async with engine.begin() as connection:
            issue = await show_issue(connection, await unschedule_issue(connection, issue_id, by=request.user))
        _log.info("publishing.issue_unscheduled", issue_id=issue.id)
        return issue
