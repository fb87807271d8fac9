"""Routes about an issue being sent: pause it, resume it."""

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.identity import requires
from broadsheet_common.problems import ConflictError, NotFoundError
from broadsheet_common.record_id import PathId
from broadsheet_common.route_rules import documents, json_only
from broadsheet_delivery.pause_request import PauseRequest
from broadsheet_delivery.sending_state import issue_run_state, pause_issue, resume_issue


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


ISSUE_ROUTES: list[HTTPRouteHandler] = [pause_issue_sending, resume_issue_sending]
