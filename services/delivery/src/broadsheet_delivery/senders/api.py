"""Routes about the senders: the replicas, and what stops or limits all sending."""

from datetime import timedelta
from typing import Annotated, Final

import msgspec
from litestar import Response, get, patch, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import Detail, record_audit
from broadsheet_common.contracts.identity import ServiceRequest, requires
from broadsheet_common.http.entity_tag import (
    IfMatchHeader,
    PreconditionFailedError,
    PreconditionRequiredError,
    edit_tag,
    require_edit_match,
)
from broadsheet_common.http.idempotency import (
    IdempotencyInFlightError,
    IdempotencyKeyHeader,
    IdempotencyKeyReusedError,
    find_first_answer,
    keep_answer,
    replay_body,
)
from broadsheet_common.http.route_rules import documents, json_only
from broadsheet_delivery.preflight.interface import WaitingIssue, unchecked_issues
from broadsheet_delivery.senders.pause_request import PauseRequest
from broadsheet_delivery.senders.store import ReplicaRow, live_replicas
from broadsheet_delivery.tables import idempotency_key
from broadsheet_delivery.throttle.interface import (
    SendingLimits,
    SendingState,
    lock_limits,
    pause_sending,
    read_sending_state,
    resume_sending,
    set_limits,
)

REPLICAS_SHOWN_MAX: Final = 500
ISSUES_SHOWN_MAX: Final = 100
RATE_MAX: Final = 1_000_000
CALLS_MAX: Final = 10_000


class Senders(msgspec.Struct, frozen=True):
    """The sending state, and the replicas seen in the last 30 seconds."""

    sending: SendingState
    replicas: list[ReplicaRow]
    waiting_for_preflight: list[WaitingIssue]
    """Open issues that have not started, because Postmark has not confirmed yet that their stream fits."""


@get(
    "/api/v1/senders",
    guards=[requires("senders:read")],
    operation_id="getSenders",
    summary="Show the senders, and what holds sending up",
    tags=["Senders"],
    responses=documents(),
)
async def show_senders(
    engine: NamedDependency[AsyncEngine], left_when_slow: NamedDependency[timedelta]
) -> Response[Senders]:
    """The delivery replicas, and whether anything stops sending."""
    async with engine.connect() as connection:
        senders = Senders(
            await read_sending_state(connection, left_when_slow=left_when_slow),
            await live_replicas(connection, limit=REPLICAS_SHOWN_MAX),
            await unchecked_issues(connection, limit=ISSUES_SHOWN_MAX),
        )
    return Response(senders, headers={"ETag": edit_tag(_limits_of(senders.sending), senders)})


class LimitsChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits over all replicas together. null ends a limit; a field that is left out stays unchanged."""

    messages_per_s_max: Annotated[float, msgspec.Meta(gt=0, le=RATE_MAX)] | msgspec.UnsetType | None = msgspec.UNSET
    concurrent_calls_max: Annotated[int, msgspec.Meta(ge=1, le=CALLS_MAX)] | msgspec.UnsetType | None = msgspec.UNSET


@patch(
    "/api/v1/senders",
    guards=[requires("senders:write"), json_only],
    operation_id="changeSenders",
    summary="Limit all sending, or end a limit",
    tags=["Senders"],
    responses=documents(PreconditionRequiredError, PreconditionFailedError, body=True),
)
async def change_limits(
    request: ServiceRequest,
    engine: NamedDependency[AsyncEngine],
    left_when_slow: NamedDependency[timedelta],
    data: JSONBody[LimitsChange],
    if_match: IfMatchHeader = None,
) -> Response[SendingState]:
    """Limit messages a second and concurrent calls of newsletters, over all replicas, with immediate effect.

    Transactional mail counts against the rate, but does not wait for it; it has places of its own.
    """
    async with engine.begin() as connection:
        await lock_limits(connection)
        before = await read_sending_state(connection, left_when_slow=left_when_slow)
        require_edit_match(if_match, _limits_of(before), before)
        await set_limits(connection, SendingLimits(data.messages_per_s_max, data.concurrent_calls_max))
        after = await read_sending_state(connection, left_when_slow=left_when_slow)
        await record_audit(
            connection, request.user, "senders.limited", None, before=_limits_said(before), after=_limits_said(after)
        )
    return Response(after, headers={"ETag": edit_tag(_limits_of(after), after)})


def _limits_of(state: SendingState) -> SendingLimits:
    """What people change of it."""
    return SendingLimits(state.messages_per_s_max, state.concurrent_calls_max)


def _limits_said(state: SendingState) -> dict[str, Detail]:
    return {"messages_per_s_max": state.messages_per_s_max, "concurrent_calls_max": state.concurrent_calls_max}


@post(
    "/api/v1/senders/pause",
    status_code=200,
    guards=[requires("senders:write"), json_only],
    operation_id="pauseSenders",
    summary="Pause all sending",
    tags=["Senders"],
    responses=documents(IdempotencyKeyReusedError, IdempotencyInFlightError, body=True),
)
async def pause_all_sending(
    request: ServiceRequest,
    engine: NamedDependency[AsyncEngine],
    left_when_slow: NamedDependency[timedelta],
    data: JSONBody[PauseRequest],
    key: IdempotencyKeyHeader = None,
) -> SendingState:
    """Start no further call on any replica."""
    async with engine.begin() as connection:
        if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
            return replay_body(answer, SendingState)
        await pause_sending(connection, reason=data.reason)
        await record_audit(connection, request.user, "senders.paused", None)
        state = await read_sending_state(connection, left_when_slow=left_when_slow)
        await keep_answer(connection, idempotency_key, request, key, status=200, body=state)
        return state


@post(
    "/api/v1/senders/resume",
    status_code=200,
    guards=[requires("senders:write")],
    operation_id="resumeSenders",
    summary="Resume all sending",
    tags=["Senders"],
    responses=documents(IdempotencyKeyReusedError, IdempotencyInFlightError),
)
async def resume_all_sending(
    request: ServiceRequest,
    engine: NamedDependency[AsyncEngine],
    left_when_slow: NamedDependency[timedelta],
    key: IdempotencyKeyHeader = None,
) -> SendingState:
    """Resume sending; a back-off in progress ends too."""
    async with engine.begin() as connection:
        if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
            return replay_body(answer, SendingState)
        await resume_sending(connection)
        await record_audit(connection, request.user, "senders.resumed", None)
        state = await read_sending_state(connection, left_when_slow=left_when_slow)
        await keep_answer(connection, idempotency_key, request, key, status=200, body=state)
        return state


SENDER_ROUTES: list[HTTPRouteHandler] = [show_senders, change_limits, pause_all_sending, resume_all_sending]
