"""The JSON API on the steps of an issue: publish and cancel; below `/api/v1/issues`."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec
import structlog
from litestar import Controller, Response, post
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
from broadsheet_publishing.audience.audience import AudienceChange, AudienceChangedError, Trial
from broadsheet_publishing.audience.audience_token import AudienceTokenExpiredError
from broadsheet_publishing.audience.expect_audience import ExpectedAudience, expect_audience, find_change
from broadsheet_publishing.audience.find_members import members_of
from broadsheet_publishing.checks.run_checks import BlockedByFindingsError, require_no_blocks
from broadsheet_publishing.compiling.compiler import Compiler
from broadsheet_publishing.fan_out.worker import FanOutWorker
from broadsheet_publishing.issues.cancel_issue import AlreadySentError, cancel_issue
from broadsheet_publishing.issues.compile_draft import IssueHasFaultsError, compile_draft
from broadsheet_publishing.issues.interface import find_issue, newsletter_of_issue
from broadsheet_publishing.issues.publish_issue import (
    AlreadyPublishedError,
    DraftChangedError,
    NoRecipientsError,
    NotApprovedError,
    SegmentGoneError,
    publish_issue,
)
from broadsheet_publishing.issues.show_issue import show_issue
from broadsheet_publishing.issues.wire import Issue
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.newsletters.readiness import NewsletterNotReadyError
from broadsheet_publishing.tables import idempotency_key

_log = structlog.get_logger()


class PublishInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`audience`: what the author was shown by `countAudience`. Null: the issue goes out, however many get it."""

    audience: ExpectedAudience | None = None


class PublishedIssue(Issue, frozen=True, kw_only=True):
    """`audience_change`: from what the author was shown to what was found; null without a token."""

    audience_change: AudienceChange | None


class IssueStepController(Controller):
    path = "/api/v1/issues"
    tags = ("Issues",)
    request_class = JsonRequest

    @post(
        "/{issue_id:int}/publish",
        operation_id="publishIssue",
        summary="Publish an issue to everybody who is confirmed on its newsletter now",
        status_code=202,
        guards=[requires("issues:publish", newsletter=newsletter_of_issue), json_only],
        responses=documents(
            NotFoundError,
            InvalidInputError,
            AlreadyPublishedError,
            AudienceChangedError,
            AudienceTokenExpiredError,
            IssueHasFaultsError,
            BlockedByFindingsError,
            NewsletterNotReadyError,
            NotApprovedError,
            DraftChangedError,
            NoRecipientsError,
            SegmentGoneError,
            ConflictError,
            IdempotencyKeyReusedError,
            IdempotencyInFlightError,
            body=True,
        ),
    )
    async def publish_issue(
        self,
        request: ServiceRequest,
        issue_id: PathId,
        data: JSONBody[PublishInput],
        engine: NamedDependency[AsyncEngine],
        compiler: NamedDependency[Compiler],
        installation: NamedDependency[Installation],
        fan_out_worker: NamedDependency[FanOutWorker],
        key: IdempotencyKeyHeader = None,
    ) -> Response[PublishedIssue]:
        """The draft is compiled first; if it is saved meanwhile, nothing is published.

        With `audience`, nothing is published if the issue goes to another segment than was shown, if the segment's
        filter was changed, or if there are more people more (`growth_max`) or fewer (`shrinkage_max`) than allowed.
        """
        compiled = await compile_draft(engine, compiler, installation, issue_id)
        if compiled is not None:
            await require_no_blocks(engine, compiler, installation, compiled)
        async with _members(engine, issue_id, data.audience) as trial, engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, PublishedIssue)
            await expect_audience(connection, issue_id, data.audience, trial=trial)
            row = await publish_issue(
                connection, issue_id, compiled=compiled, installation=installation, by=request.user
            )
            issue = _published(await show_issue(connection, row), await find_change(connection, issue_id))
            await keep_answer(connection, idempotency_key, request, key, status=202, body=issue)
        fan_out_worker.wake()
        _log.info("publishing.issue_published", issue_id=issue.id)
        return Response(issue, status_code=202)

    @post(
        "/{issue_id:int}/cancel",
        operation_id="cancelIssue",
        summary="Cancel an issue: a draft for good, or what is left to send of a published one",
        status_code=200,
        guards=[requires("issues:publish", newsletter=newsletter_of_issue)],
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
            row = await cancel_issue(connection, issue_id, by=request.user)
            issue = await show_issue(connection, row)
            await keep_answer(connection, idempotency_key, request, key, status=200, body=issue)
        _log.info("publishing.issue_cancelled", issue_id=issue.id)
        return Response(issue, status_code=200)


@asynccontextmanager
async def _members(
    engine: AsyncEngine, issue_id: int, expected: ExpectedAudience | None
) -> AsyncGenerator[Trial | None]:
    """Only where they are to be counted. Raises `UnavailableError`."""
    if expected is None:
        yield None
        return
    async with engine.connect() as connection:
        issue = await find_issue(connection, issue_id)
    async with members_of(engine, issue) as trial:
        yield trial


def _published(issue: Issue, change: AudienceChange | None) -> PublishedIssue:
    fields = {name: getattr(issue, name) for name in Issue.__struct_fields__}
    return PublishedIssue(**fields, audience_change=change)
