"""The delivery service's routes: how each delivery stands, the replicas, and holding up or resuming."""

import uuid
from datetime import datetime

import msgspec
from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery, JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.identity import requires
from broadsheet_common.pagination import PAGE_SIZE_DEFAULT, Page, PageCursor, PageLimit, decode_cursor, encode_cursor
from broadsheet_common.problems import ConflictError, NotFoundError
from broadsheet_common.record_id import PathId
from broadsheet_common.route_rules import JsonRequest, documents, json_only
from broadsheet_delivery.compose_mail import delivery_id
from broadsheet_delivery.sending_state import (
    SendingState,
    issue_run_state,
    pause_issue,
    pause_sending,
    read_sending_state,
    resume_issue,
    resume_sending,
)
from broadsheet_delivery.timeline_store import DeliveryStatus, ReplicaRow, issue_deliveries, live_replicas

REPLICAS_SHOWN_MAX = 500


class Delivery(msgspec.Struct, frozen=True):
    """One issue to one subscriber. `message_id` is Postmark's; `reason` says why it was not accepted."""

    id: str
    issue_id: int
    subscriber_id: int
    status: DeliveryStatus
    message_id: uuid.UUID | None
    attempt_id: uuid.UUID | None
    error_code: int | None
    reason: str | None
    settled_at: datetime | None


class Senders(msgspec.Struct, frozen=True):
    """The state of sending, and the replicas that were seen in the last 30 seconds."""

    sending: SendingState
    replicas: list[ReplicaRow]


class PauseRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`reason` is shown to everyone who looks at what is paused."""

    reason: str = "Paused by hand."


class IssueRunState(msgspec.Struct, frozen=True):
    """`state` is open, paused, cancelled or finished."""

    issue_id: int
    state: str


class NotPausableError(ConflictError):
    slug, title = "not-pausable", "Only an issue that is being sent can be paused"


class NotPausedError(ConflictError):
    slug, title = "not-paused", "The issue is not paused"


@get(
    "/api/v1/issues/{issue_id:int}/deliveries",
    guards=[requires("read")],
    operation_id="listIssueDeliveries",
    summary="List the deliveries of an issue, one a recipient",
    tags=["Deliveries"],
    responses=documents(NotFoundError),
)
async def list_issue_deliveries(
    engine: NamedDependency[AsyncEngine],
    issue_id: PathId,
    limit: PageLimit = PAGE_SIZE_DEFAULT,
    cursor: PageCursor = None,
    status: FromQuery[DeliveryStatus | None] = None,
) -> Page[Delivery]:
    """The deliveries of an issue, in the order in which they were enqueued."""
    after_seq = decode_cursor(cursor) or 0
    async with engine.connect() as connection:
        if await issue_run_state(connection, issue_id=issue_id) is None:
            raise NotFoundError("No issue with this id has been published.")
        rows = await issue_deliveries(
            connection, issue_id=issue_id, after_seq=after_seq, limit=limit + 1, status=status
        )
    items = [
        Delivery(
            id=delivery_id(issue_id, row.seq),
            issue_id=issue_id,
            subscriber_id=row.subscriber_id,
            status=row.status,
            message_id=row.message_id,
            attempt_id=row.attempt_id,
            error_code=row.error_code,
            reason=row.reason,
            settled_at=row.settled_at,
        )
        for row in rows[:limit]
    ]
    return Page(items, encode_cursor(rows[limit - 1].seq) if len(rows) > limit else None)


@post(
    "/api/v1/issues/{issue_id:int}/pause",
    status_code=200,
    guards=[requires("write"), json_only],
    operation_id="pauseIssue",
    summary="Pause an issue: no further call is begun",
    tags=["Issues"],
    responses=documents(NotFoundError, NotPausableError, body=True),
)
async def pause_issue_sending(
    engine: NamedDependency[AsyncEngine], issue_id: PathId, data: JSONBody[PauseRequest]
) -> IssueRunState:
    """Start no further call for the issue; calls under way end. Pausing what is paused changes nothing."""
    async with engine.begin() as connection:
        paused = await pause_issue(connection, issue_id=issue_id, reason=data.reason)
        state = await issue_run_state(connection, issue_id=issue_id)
    if state is None:
        raise NotFoundError("No issue with this id has been published.")
    if not paused and state != "paused":
        raise NotPausableError
    return IssueRunState(issue_id, state)


@post(
    "/api/v1/issues/{issue_id:int}/resume",
    status_code=200,
    guards=[requires("write")],
    operation_id="resumeIssue",
    summary="Go on with the remainder of a paused issue",
    tags=["Issues"],
    responses=documents(NotFoundError, NotPausedError),
)
async def resume_issue_sending(engine: NamedDependency[AsyncEngine], issue_id: PathId) -> IssueRunState:
    """Go on with the remainder of a paused issue."""
    async with engine.begin() as connection:
        resumed = await resume_issue(connection, issue_id=issue_id)
        state = await issue_run_state(connection, issue_id=issue_id)
    if state is None:
        raise NotFoundError("No issue with this id has been published.")
    if not resumed and state != "open":
        raise NotPausedError
    return IssueRunState(issue_id, state)


@get(
    "/api/v1/senders",
    guards=[requires("read")],
    operation_id="getSenders",
    summary="Show the senders, and what holds sending up",
    tags=["Senders"],
    responses=documents(),
)
async def show_senders(engine: NamedDependency[AsyncEngine]) -> Senders:
    """The delivery replicas, and whether anything holds sending up."""
    async with engine.connect() as connection:
        return Senders(await read_sending_state(connection), await live_replicas(connection, limit=REPLICAS_SHOWN_MAX))


@post(
    "/api/v1/senders/pause",
    status_code=200,
    guards=[requires("admin"), json_only],
    operation_id="pauseSenders",
    summary="Pause all sending",
    tags=["Senders"],
    responses=documents(body=True),
)
async def pause_all_sending(engine: NamedDependency[AsyncEngine], data: JSONBody[PauseRequest]) -> SendingState:
    """Start no further call at all, on any replica."""
    async with engine.begin() as connection:
        await pause_sending(connection, reason=data.reason)
        return await read_sending_state(connection)


@post(
    "/api/v1/senders/resume",
    status_code=200,
    guards=[requires("admin")],
    operation_id="resumeSenders",
    summary="Resume all sending",
    tags=["Senders"],
    responses=documents(),
)
async def resume_all_sending(engine: NamedDependency[AsyncEngine]) -> SendingState:
    """Send again; a back-off that was running ends too."""
    async with engine.begin() as connection:
        await resume_sending(connection)
        return await read_sending_state(connection)


def delivery_routes() -> Router:
    handlers: list[HTTPRouteHandler] = [
        list_issue_deliveries,
        pause_issue_sending,
        resume_issue_sending,
        show_senders,
        pause_all_sending,
        resume_all_sending,
    ]
    return Router("/", route_handlers=handlers, request_class=JsonRequest)
