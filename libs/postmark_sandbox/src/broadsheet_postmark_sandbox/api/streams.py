"""Message streams and their suppressions."""

import re
import time
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from litestar import Router, get, patch, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK
from litestar.types import ASGIApp

from broadsheet_postmark_sandbox.api import errors
from broadsheet_postmark_sandbox.api.answers import json_answer
from broadsheet_postmark_sandbox.api.common import AnyRequest, postmark_guard, query_of, read_json, sandbox_of
from broadsheet_postmark_sandbox.api.errors import PostmarkError
from broadsheet_postmark_sandbox.api.faulty_reads import FaultyReads
from broadsheet_postmark_sandbox.api.wire import postmark_name
from broadsheet_postmark_sandbox.events.bounces import SERVER_ID
from broadsheet_postmark_sandbox.events.send_events import EventRequest, announce
from broadsheet_postmark_sandbox.messages.addresses import is_mailbox
from broadsheet_postmark_sandbox.messages.present_message import eastern_text
from broadsheet_postmark_sandbox.settings import UnsubscribeHandling
from broadsheet_postmark_sandbox.state import Sandbox
from broadsheet_postmark_sandbox.streams import STREAMS_MAX, Stream, StreamType, Suppression

SUPPRESSIONS_PER_CALL_MAX: Final = 50
_STREAM_ID: Final = re.compile(r"[a-z][a-z0-9_-]{0,29}")


class Handling(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=postmark_name):
    unsubscribe_handling_type: UnsubscribeHandling


class NewStream(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=postmark_name):
    id: str
    name: str
    message_stream_type: StreamType
    description: str | None = None
    subscription_management_configuration: Handling | None = None


class ChangedStream(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=postmark_name):
    name: str | None = None
    description: str | None = None
    subscription_management_configuration: Handling | None = None


class SuppressedAddress(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=postmark_name):
    email_address: str


class Addresses(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=postmark_name):
    suppressions: list[SuppressedAddress]


@get("/message-streams")
async def list_streams(request: AnyRequest) -> ASGIApp:
    query = query_of(request)
    wanted = query.get("messagestreamtype", "all").lower()
    archived_too = query.get("includearchivedstreams", "false").lower() == "true"
    rows = [
        stream_row(stream)
        for stream in sandbox_of(request).streams.values()
        if wanted in {"all", stream.type.lower()} and (archived_too or stream.archived_at is None)
    ]
    return json_answer(200, {"MessageStreams": rows, "TotalCount": len(rows)})


@get("/message-streams/{stream_id:str}")
async def show_stream(request: AnyRequest, stream_id: FromPath[str]) -> ASGIApp:
    return json_answer(200, stream_row(_stream(sandbox_of(request), stream_id)))


@post("/message-streams", status_code=HTTP_200_OK)
async def create_stream(request: AnyRequest) -> ASGIApp:
    wanted = await read_json(request, NewStream)
    streams = sandbox_of(request).streams
    if not _STREAM_ID.fullmatch(wanted.id) or not wanted.name or wanted.id in streams:
        raise errors.incompatible_json("a stream needs a name and an ID of its own in lower case")
    if wanted.message_stream_type == "Inbound" or len(streams) >= STREAMS_MAX:
        raise errors.incompatible_json("no more streams of this type can be created")
    default: UnsubscribeHandling = "Postmark" if wanted.message_stream_type == "Broadcasts" else "None"
    management = wanted.subscription_management_configuration
    made = Stream(
        id=wanted.id,
        name=wanted.name,
        type=wanted.message_stream_type,
        handling=default if management is None else management.unsubscribe_handling_type,
        created_at=time.time(),
        description=wanted.description,
    )
    streams[made.id] = made
    return json_answer(200, stream_row(made))


@patch("/message-streams/{stream_id:str}")
async def change_stream(request: AnyRequest, stream_id: FromPath[str]) -> ASGIApp:
    wanted = await read_json(request, ChangedStream)
    stream = _stream(sandbox_of(request), stream_id)
    stream.name = wanted.name or stream.name
    stream.description = wanted.description or stream.description
    if wanted.subscription_management_configuration is not None:
        stream.handling = wanted.subscription_management_configuration.unsubscribe_handling_type
    stream.updated_at = time.time()
    return json_answer(200, stream_row(stream))


@post("/message-streams/{stream_id:str}/archive", status_code=HTTP_200_OK)
async def archive_stream(request: AnyRequest, stream_id: FromPath[str]) -> ASGIApp:
    stream = _stream(sandbox_of(request), stream_id)
    stream.archived_at = time.time()
    purge = eastern_text(stream.archived_at + timedelta(days=45).total_seconds())
    return json_answer(200, {"ID": stream.id, "ServerID": SERVER_ID, "ExpectedPurgeDate": purge})


@post("/message-streams/{stream_id:str}/unarchive", status_code=HTTP_200_OK)
async def unarchive_stream(request: AnyRequest, stream_id: FromPath[str]) -> ASGIApp:
    stream = _stream(sandbox_of(request), stream_id)
    stream.archived_at = None
    return json_answer(200, stream_row(stream))


@get("/message-streams/{stream_id:str}/suppressions/dump")
async def dump_suppressions(request: AnyRequest, stream_id: FromPath[str]) -> ASGIApp:
    """All of a stream's suppressions, without pages. Filters: `SuppressionReason`, `Origin`, `EmailAddress`, dates."""
    query = query_of(request)
    earliest, latest = _day(query.get("fromdate"), end=False), _day(query.get("todate"), end=True)

    def wanted(suppression: Suppression) -> bool:
        return (
            query.get("suppressionreason", suppression.reason).lower() == suppression.reason.lower()
            and query.get("origin", suppression.origin).lower() == suppression.origin.lower()
            and query.get("emailaddress", suppression.address).lower() == suppression.address
            and (earliest is None or suppression.created_at >= earliest)
            and (latest is None or suppression.created_at < latest)
        )

    stream = _stream(sandbox_of(request), stream_id)
    rows = [suppression_row(one) for one in stream.suppressions.values() if wanted(one)]
    return json_answer(200, {"Suppressions": rows})


@post("/message-streams/{stream_id:str}/suppressions", status_code=HTTP_200_OK)
async def create_suppressions(request: AnyRequest, stream_id: FromPath[str]) -> ASGIApp:
    sandbox = sandbox_of(request)
    stream = _stream(sandbox, stream_id)
    rows = []
    for address in await _addresses(request):
        if not is_mailbox(address):
            rows.append(_status(address, "Failed", "An invalid email address was provided."))
            continue
        if address.lower() not in stream.suppressions:
            announce(sandbox, _change(stream, address, suppress=True))
        rows.append(_status(address, "Suppressed", None))
    return json_answer(200, {"Suppressions": rows})


@post("/message-streams/{stream_id:str}/suppressions/delete", status_code=HTTP_200_OK)
async def delete_suppressions(request: AnyRequest, stream_id: FromPath[str]) -> ASGIApp:
    sandbox = sandbox_of(request)
    stream = _stream(sandbox, stream_id)
    rows = []
    for address in await _addresses(request):
        known = stream.suppressions.get(address.lower())
        if known is not None and not _may_be_deleted(known):
            text = "You do not have the required authority to change this suppression."
            rows.append(_status(address, "Failed", text))
            continue
        if known is not None:
            announce(sandbox, _change(stream, address, suppress=False))
        rows.append(_status(address, "Deleted", None))
    return json_answer(200, {"Suppressions": rows})


def _may_be_deleted(suppression: Suppression) -> bool:
    """A complaint cannot be deleted, nor an unsubscription that the recipient made by Postmark's own link."""
    return suppression.reason != "SpamComplaint" and (suppression.reason, suppression.origin) != (
        "ManualSuppression",
        "Recipient",
    )


def _change(stream: Stream, address: str, *, suppress: bool) -> EventRequest:
    return EventRequest(
        type="SubscriptionChange",
        recipient=address,
        stream=stream.id,
        suppress_sending=suppress,
        origin="Customer",
        about_message=False,
    )


async def _addresses(request: AnyRequest) -> list[str]:
    wanted = await read_json(request, Addresses)
    if len(wanted.suppressions) > SUPPRESSIONS_PER_CALL_MAX:
        raise PostmarkError(422, 300, f"You may only change {SUPPRESSIONS_PER_CALL_MAX} suppressions at a time.")
    return [one.email_address for one in wanted.suppressions]


def _status(address: str, status: str, message: str | None) -> dict[str, str | None]:
    return {"EmailAddress": address, "Status": status, "Message": message}


def _stream(sandbox: Sandbox, stream_id: str) -> Stream:
    stream = sandbox.streams.get(stream_id)
    if stream is None:
        raise errors.stream_not_found(stream_id)
    return stream


def _day(text: str | None, *, end: bool) -> float | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text).astimezone()
    except ValueError as wrong:
        raise errors.bad_filter(f"Not a date: '{text}'.") from wrong
    return (moment + timedelta(days=1 if end else 0)).timestamp()


def stream_row(stream: Stream) -> dict[str, Any]:
    return {
        "ID": stream.id,
        "ServerID": SERVER_ID,
        "Name": stream.name,
        "Description": stream.description,
        "MessageStreamType": stream.type,
        "CreatedAt": eastern_text(stream.created_at),
        "UpdatedAt": None if stream.updated_at is None else eastern_text(stream.updated_at),
        "ArchivedAt": None if stream.archived_at is None else eastern_text(stream.archived_at),
        "ExpectedPurgeDate": None,
        "SubscriptionManagementConfiguration": {"UnsubscribeHandlingType": stream.handling},
    }


def suppression_row(suppression: Suppression) -> dict[str, Any]:
    return {
        "EmailAddress": suppression.address,
        "SuppressionReason": suppression.reason,
        "Origin": suppression.origin,
        "CreatedAt": eastern_text(suppression.created_at),
    }


def streams_router() -> Router:
    return Router(
        path="/",
        route_handlers=[
            list_streams,
            show_stream,
            create_stream,
            change_stream,
            archive_stream,
            unarchive_stream,
            dump_suppressions,
            create_suppressions,
            delete_suppressions,
        ],
        guards=[postmark_guard],
        middleware=[FaultyReads()],
    )
