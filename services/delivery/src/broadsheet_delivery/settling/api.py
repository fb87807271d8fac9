"""Routes about an issue being sent: pause it, resume it, retry what failed, decide about what is uncertain."""

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import ServiceRequest, requires
from broadsheet_common.http.idempotency import (
    IdempotencyInFlightError,
    IdempotencyKeyHeader,
    IdempotencyKeyReusedError,
    RepeatableRequest,
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
from broadsheet_common.http.problems import ConflictError, NotFoundError
from broadsheet_common.http.record_id import PathId
from broadsheet_common.http.route_rules import documents, json_only
from broadsheet_delivery.retention.interface import RemovedError
from broadsheet_delivery.senders.pause_request import PauseRequest
from broadsheet_delivery.settling.decide_uncertain import CancelledError, NotParkedError, decide_issue
from broadsheet_delivery.settling.decision_request import DecisionRequest
from broadsheet_delivery.settling.decision_store import Decision, issue_decisions
from broadsheet_delivery.settling.record_step import record_step
from broadsheet_delivery.settling.retry_failed import retry_failed
from broadsheet_delivery.tables import idempotency_key
from broadsheet_delivery.throttle.interface import issue_run_state, newsletter_of_issue, pause_issue, resume_issue


class IssueRunState(msgspec.Struct, frozen=True):
    """`state` is open, paused, cancelled or finished."""

    issue_id: int
    state: str


class NotPausableError(ConflictError):
    slug, title = "not-pausable", "Only an issue that is being sent can be paused"


class NotPausedError(ConflictError):
    slug, title = "not-paused", "The issue is not paused"


@post(
    "/api/v1/issues/{issue_id:int}/pause",
    status_code=200,
    guards=[requires("issues:publish", newsletter=newsletter_of_issue), json_only],
    operation_id="pauseIssue",
    summary="Pause an issue: no further call is begun",
    tags=["Issues"],
    responses=documents(
        NotFoundError, NotPausableError, IdempotencyKeyReusedError, IdempotencyInFlightError, body=True
    ),
)
async def pause_issue_sending(
    request: ServiceRequest,
    engine: NamedDependency[AsyncEngine],
    issue_id: PathId,
    data: JSONBody[PauseRequest],
    key: IdempotencyKeyHeader = None,
) -> IssueRunState:
    """Start no further call for the issue; calls under way end. Pausing a paused issue changes nothing."""
    async with engine.begin() as connection:
        if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
            return replay_body(answer, IssueRunState)
        paused = await pause_issue(connection, issue_id=issue_id, reason=data.reason)
        if paused:
            await record_step(connection, request.user, "issue.paused", issue_id, after={"state": "paused"})
        state = await issue_run_state(connection, issue_id=issue_id)
        if state is None:
            raise NotFoundError("No issue with this id has been published.")
        if not paused and state != "paused":
            raise NotPausableError
        shown = IssueRunState(issue_id, state)
        await keep_answer(connection, idempotency_key, request, key, status=200, body=shown)
    return shown


@post(
    "/api/v1/issues/{issue_id:int}/resume",
    status_code=200,
    guards=[requires("issues:publish", newsletter=newsletter_of_issue)],
    operation_id="resumeIssue",
    summary="Go on with the remainder of a paused issue",
    tags=["Issues"],
    responses=documents(NotFoundError, NotPausedError, IdempotencyKeyReusedError, IdempotencyInFlightError),
)
async def resume_issue_sending(
    request: ServiceRequest,
    engine: NamedDependency[AsyncEngine],
    issue_id: PathId,
    key: IdempotencyKeyHeader = None,
) -> IssueRunState:
    """Resume a paused issue with its remaining deliveries."""
    async with engine.begin() as connection:
        if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
            return replay_body(answer, IssueRunState)
        resumed = await resume_issue(connection, issue_id=issue_id)
        if resumed:
            await record_step(connection, request.user, "issue.resumed", issue_id, before={"state": "paused"})
        state = await issue_run_state(connection, issue_id=issue_id)
        if state is None:
            raise NotFoundError("No issue with this id has been published.")
        if not resumed and state != "open":
            raise NotPausedError
        shown = IssueRunState(issue_id, state)
        await keep_answer(connection, idempotency_key, request, key, status=200, body=shown)
    return shown


class Retried(msgspec.Struct, frozen=True):
    """How many deliveries are pending again."""

    retried: int


class Decided(msgspec.Struct, frozen=True):
    """How many deliveries the decision was about."""

    decided: int


@post(
    "/api/v1/issues/{issue_id:int}/retry-failed",
    status_code=200,
    guards=[requires("issues:publish", newsletter=newsletter_of_issue)],
    operation_id="retryFailedDeliveries",
    summary="Send again just the deliveries of an issue that failed",
    tags=["Issues"],
    responses=documents(
        NotFoundError, CancelledError, RemovedError, IdempotencyKeyReusedError, IdempotencyInFlightError
    ),
)
async def retry_failed_deliveries(
    request: ServiceRequest,
    engine: NamedDependency[AsyncEngine],
    issue_id: PathId,
    key: IdempotencyKeyHeader = None,
) -> Retried:
    """Those that were certainly not sent, except those that an operator gave up. A finished issue is sending again
    then.

    Repeating it is harmless: the second time nothing has failed. Deliveries in a call under way are left to the
    next retry.
    """
    repeatable = await RepeatableRequest.of(idempotency_key, request, key)
    return Retried(await retry_failed(engine, issue_id=issue_id, by=request.user, request=repeatable))


@post(
    "/api/v1/issues/{issue_id:int}/decide-uncertain",
    status_code=200,
    guards=[requires("deliveries:decide", newsletter=newsletter_of_issue), json_only],
    operation_id="decideUncertainDeliveries",
    summary="Decide about all deliveries of an issue that are uncertain and parked",
    tags=["Issues"],
    responses=documents(
        NotFoundError, NotParkedError, CancelledError, IdempotencyKeyReusedError, IdempotencyInFlightError, body=True
    ),
)
async def decide_uncertain_deliveries(
    request: ServiceRequest,
    engine: NamedDependency[AsyncEngine],
    issue_id: PathId,
    data: JSONBody[DecisionRequest],
    key: IdempotencyKeyHeader = None,
) -> Decided:
    """`mark_sent` and `give_up` settle them. `send_again` risks that recipients get the issue twice."""
    repeatable = await RepeatableRequest.of(idempotency_key, request, key)
    decided = await decide_issue(
        engine, issue_id=issue_id, choice=data.choice, by=request.user, note=data.note, request=repeatable
    )
    return Decided(decided)


@get(
    "/api/v1/issues/{issue_id:int}/decisions",
    guards=[requires("deliveries:read", newsletter=newsletter_of_issue)],
    operation_id="listIssueDecisions",
    summary="List what people decided about an issue: cancelled, retried, marked as sent, sent again, given up",
    tags=["Issues"],
    responses=documents(NotFoundError),
)
async def list_issue_decisions(
    engine: NamedDependency[AsyncEngine],
    issue_id: PathId,
    limit: PageLimit = PAGE_SIZE_DEFAULT,
    cursor: PageCursor = None,
) -> Page[Decision]:
    """Oldest first. Decisions are append-only and kept for ever."""
    async with engine.connect() as connection:
        if await issue_run_state(connection, issue_id=issue_id) is None:
            raise NotFoundError("No issue with this id has been published.")
        rows = await issue_decisions(
            connection, issue_id=issue_id, after_id=decode_cursor(cursor) or 0, limit=limit + 1
        )
    return Page(rows[:limit], encode_cursor(rows[limit - 1].id) if len(rows) > limit else None)


ISSUE_ROUTES: list[HTTPRouteHandler] = [
    pause_issue_sending,
    resume_issue_sending,
    retry_failed_deliveries,
    decide_uncertain_deliveries,
    list_issue_decisions,
]
