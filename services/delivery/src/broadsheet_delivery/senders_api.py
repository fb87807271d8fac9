"""Routes about the senders: the replicas, and what holds all sending up."""

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.identity import requires
from broadsheet_common.route_rules import documents, json_only
from broadsheet_delivery.pause_request import PauseRequest
from broadsheet_delivery.sending_state import SendingState, pause_sending, read_sending_state, resume_sending
from broadsheet_delivery.timeline_store import ReplicaRow, live_replicas

REPLICAS_SHOWN_MAX = 500


class Senders(msgspec.Struct, frozen=True):
    """The state of sending, and the replicas that were seen in the last 30 seconds."""

    sending: SendingState
    replicas: list[ReplicaRow]


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


SENDER_ROUTES: list[HTTPRouteHandler] = [show_senders, pause_all_sending, resume_all_sending]
