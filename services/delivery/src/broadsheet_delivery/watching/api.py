"""Routes of the event streams."""

from collections.abc import AsyncGenerator
from typing import Any, Final

from litestar import get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import ResponseSpec
from litestar.response.base import ASGIResponse

from broadsheet_common.contracts.identity import NARROWED_BY_HANDLER, Identity, ServiceRequest, requires
from broadsheet_common.event_streams.answer import EventStreamAnswer, LastEventId
from broadsheet_common.event_streams.messages import EVENT_STREAM_MEDIA_TYPE
from broadsheet_common.http.problems import NotFoundError
from broadsheet_common.http.record_id import PathId
from broadsheet_common.http.route_rules import documents
from broadsheet_common.http.service_app import sent_method
from broadsheet_delivery.throttle.interface import newsletter_of_issue
from broadsheet_delivery.watching.dashboard_view import DashboardView
from broadsheet_delivery.watching.event_data import DashboardEvent, IssueEvent
from broadsheet_delivery.watching.stream_states import StreamBounds, read_first, stream_states
from broadsheet_delivery.watching.watchers import (
    State,
    StreamsFullError,
    TooManyStreamsError,
    Topic,
    Watchers,
)

_RULES: Final = """
Server-sent events: `id` names the state, and `data` is JSON of the schema below. Each event is complete, and at most
one comes a second; a slow reader gets the newest and misses those between. Comments (`:`) come as heart-beats at
least every 10 seconds. A stream ends after some time, or when the server stops, with a `retry` that says when to come
back; `Last-Event-ID` then spares the client an event that it has had.
""".strip()


def _stream_of(data: type, description: str) -> dict[int, ResponseSpec]:
    return {
        200: ResponseSpec(data, generate_examples=False, description=description, media_type=EVENT_STREAM_MEDIA_TYPE)
    }


@get(
    "/api/v1/issues/{issue_id:int}/events",
    guards=[requires("issues:read", newsletter=newsletter_of_issue)],
    operation_id="watchIssue",
    summary="Watch how the sending of an issue gets on",
    description=f"""{_RULES}

The event's name is `issue`. After an event with `is_final` the stream ends without a `retry`; who comes back with its
id is answered 204, which ends an `EventSource`. Issues are known here from their publication on.""",
    tags=["Issues"],
    responses={
        **documents(NotFoundError, StreamsFullError, TooManyStreamsError),
        **_stream_of(IssueEvent, "Events named `issue`, whose data is"),
        204: ResponseSpec(None, generate_examples=False, description="The issue is final, and the client has seen it"),
    },
)
async def watch_issue(
    request: ServiceRequest,
    watchers: NamedDependency[Watchers],
    stream_bounds: NamedDependency[StreamBounds],
    issue_id: PathId,
    last_event_id: LastEventId = None,
) -> ASGIResponse:
    first = await read_first(watchers, issue_id, request.user.subject)
    if first is None:
        raise NotFoundError("No issue with this id has been published.")
    if first.is_final and first.id == last_event_id:
        return ASGIResponse(status_code=204)
    return _answer(request, watchers, issue_id, first, last_event_id, stream_bounds)


@get(
    "/api/v1/events",
    guards=[requires("issues:read", newsletter=NARROWED_BY_HANDLER)],
    operation_id="watchDashboard",
    summary="Watch what a dashboard shows: issues in progress, the sending state, what waits for a person",
    description=f"""{_RULES}

The event's name is `dashboard`. Each caller sees what its rights let it see, of the newsletters for which it has
them.""",
    tags=["Senders"],
    responses={
        **documents(StreamsFullError, TooManyStreamsError),
        **_stream_of(DashboardEvent, "Events named `dashboard`, whose data is"),
    },
)
async def watch_dashboard(
    request: ServiceRequest,
    watchers: NamedDependency[Watchers],
    stream_bounds: NamedDependency[StreamBounds],
    last_event_id: LastEventId = None,
) -> ASGIResponse:
    view = _view_of(request.user)
    first = await read_first(watchers, view, request.user.subject)
    if first is None:
        raise NotFoundError
    return _answer(request, watchers, view, first, last_event_id, stream_bounds)


def _view_of(identity: Identity) -> DashboardView:
    return DashboardView(
        issues=identity.newsletters_with("issues:read"),
        deliveries=identity.newsletters_with("deliveries:read"),
        imports=identity.newsletters_with("imports:read"),
        webhooks=identity.newsletters_with("webhooks:read") is None,
        senders=identity.newsletters_with("senders:read") is None,
    )


def _answer(
    request: ServiceRequest,
    watchers: Watchers,
    topic: Topic,
    first: State,
    had_id: str | None,
    bounds: StreamBounds,
) -> ASGIResponse:
    scope: Any = request.scope
    if sent_method(scope) == "HEAD":
        return EventStreamAnswer(_nothing())
    return EventStreamAnswer(
        stream_states(watchers, topic, request.user.subject, first=first, had_id=had_id, bounds=bounds)
    )


async def _nothing() -> AsyncGenerator[bytes]:
    return
    yield b""


WATCHING_ROUTES: list[HTTPRouteHandler] = [watch_issue, watch_dashboard]
