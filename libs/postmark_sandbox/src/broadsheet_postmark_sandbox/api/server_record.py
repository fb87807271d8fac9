"""The server's settings, its webhooks and its statistics."""

from typing import Any, Final

import msgspec
from litestar import Router, delete, get, post, put
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK
from litestar.types import ASGIApp

from broadsheet_postmark_sandbox.api import errors
from broadsheet_postmark_sandbox.api.answers import json_answer
from broadsheet_postmark_sandbox.api.common import AnyRequest, postmark_guard, query_of, read_json, sandbox_of
from broadsheet_postmark_sandbox.api.errors import PostmarkError
from broadsheet_postmark_sandbox.api.faulty_reads import FaultyReads
from broadsheet_postmark_sandbox.api.wire import Header, postmark_name
from broadsheet_postmark_sandbox.events.bounces import SERVER_ID
from broadsheet_postmark_sandbox.events.webhooks import WEBHOOKS_MAX, BasicAuth, Triggers, Webhook, webhook_row
from broadsheet_postmark_sandbox.messages.search_messages import Query, search_messages
from broadsheet_postmark_sandbox.state import Sandbox
from broadsheet_postmark_sandbox.streams import DEFAULT_STREAM

_SERVER: Final = {
    "ID": SERVER_ID,
    "Name": "Broadsheet sandbox",
    "Color": "grey",
    "SmtpApiActivated": True,
    "RawEmailEnabled": False,
    "DeliveryType": "Live",
    "ServerLink": "",
    "InboundAddress": "sandbox@inbound.postmarkapp.com",
    "InboundHookUrl": "",
    "BounceHookUrl": "",
    "OpenHookUrl": "",
    "DeliveryHookUrl": "",
    "ClickHookUrl": "",
    "PostFirstOpenOnly": False,
    "InboundDomain": "",
    "InboundHash": "sandbox",
    "InboundSpamThreshold": 0,
    "TrackOpens": False,
    "TrackLinks": "None",
    "IncludeBounceContentInHook": False,
    "EnableSmtpApiErrorHooks": False,
}


class NewWebhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=postmark_name):
    url: str
    message_stream: str = DEFAULT_STREAM
    http_auth: BasicAuth | None = None
    http_headers: tuple[Header, ...] | None = None
    triggers: Triggers = Triggers()


class ChangedWebhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=postmark_name):
    url: str | None = None
    http_auth: BasicAuth | None = None
    http_headers: tuple[Header, ...] | None = None
    triggers: Triggers | None = None


@get("/server")
async def show_server(request: AnyRequest) -> ASGIApp:
    return json_answer(200, {**_SERVER, "ApiTokens": [sandbox_of(request).settings.token]})


@get("/webhooks")
async def list_webhooks(request: AnyRequest) -> ASGIApp:
    stream = query_of(request).get("messagestream")
    rows = [
        webhook_row(one)
        for one in sandbox_of(request).targets
        if stream is None or one.stream is None or one.stream == stream
    ]
    return json_answer(200, {"Webhooks": rows})


@get("/webhooks/{webhook_id:int}")
async def show_webhook(request: AnyRequest, webhook_id: FromPath[int]) -> ASGIApp:
    return json_answer(200, webhook_row(_webhook(sandbox_of(request), webhook_id)))


@post("/webhooks", status_code=HTTP_200_OK)
async def create_webhook(request: AnyRequest) -> ASGIApp:
    wanted = await read_json(request, NewWebhook)
    sandbox = sandbox_of(request)
    if wanted.message_stream not in sandbox.streams:
        raise errors.stream_not_found(wanted.message_stream)
    _check_url(wanted.url)
    if len(sandbox.targets) >= WEBHOOKS_MAX:
        raise errors.incompatible_json(f"a server has at most {WEBHOOKS_MAX} webhooks")
    made = Webhook(
        id=max((one.id for one in sandbox.targets), default=0) + 1,
        url=wanted.url,
        stream=wanted.message_stream,
        auth=wanted.http_auth,
        headers=wanted.http_headers or (),
        triggers=wanted.triggers,
    )
    sandbox.targets.append(made)
    return json_answer(200, webhook_row(made))


@put("/webhooks/{webhook_id:int}")
async def change_webhook(request: AnyRequest, webhook_id: FromPath[int]) -> ASGIApp:
    wanted = await read_json(request, ChangedWebhook)
    sandbox = sandbox_of(request)
    before = _webhook(sandbox, webhook_id)
    if wanted.url is not None:
        _check_url(wanted.url)
    after = msgspec.structs.replace(
        before,
        url=wanted.url or before.url,
        auth=before.auth if wanted.http_auth is None else wanted.http_auth,
        headers=before.headers if wanted.http_headers is None else wanted.http_headers,
        triggers=wanted.triggers or before.triggers,
    )
    sandbox.targets[sandbox.targets.index(before)] = after
    return json_answer(200, webhook_row(after))


@delete("/webhooks/{webhook_id:int}", status_code=HTTP_200_OK)
async def delete_webhook(request: AnyRequest, webhook_id: FromPath[int]) -> ASGIApp:
    sandbox = sandbox_of(request)
    sandbox.targets.remove(_webhook(sandbox, webhook_id))
    return json_answer(200, {"ErrorCode": 0, "Message": f"Webhook {webhook_id} removed."})


@get("/stats/outbound")
async def outbound_stats(request: AnyRequest) -> ASGIApp:
    """Counts of accepted messages. Filters: `messagestream`, `tag`."""
    query = query_of(request)
    sandbox = sandbox_of(request)
    stream, tag = query.get("messagestream"), query.get("tag")
    streams = [stream] if stream is not None else list(sandbox.streams)
    sent = 0
    for one in streams:
        found = await search_messages(sandbox, Query(count=0, offset=0, messagestream=one, tag=tag))
        sent += found["TotalCount"]
    bounces = [
        bounce
        for bounce in sandbox.bounces.newest_first()
        if bounce.stream in streams and (tag is None or bounce.tag == tag)
    ]
    complaints = sum(bounce.kind.type == "SpamComplaint" for bounce in bounces)
    bounced = len(bounces) - complaints
    return json_answer(200, _overview(sent, bounced, complaints))


def _overview(sent: int, bounced: int, complaints: int) -> dict[str, Any]:
    def rate(count: int) -> float:
        return round(100 * count / sent, 3) if sent else 0.0

    zero = ("SMTPApiErrors", "Opens", "UniqueOpens", "Tracked", "WithClientRecorded", "WithPlatformRecorded")
    links = ("TotalClicks", "UniqueLinksClicked", "TotalTrackedLinksSent", "WithLinkTracking", "WithOpenTracking")
    return {
        "Sent": sent,
        "Bounced": bounced,
        "BounceRate": rate(bounced),
        "SpamComplaints": complaints,
        "SpamComplaintsRate": rate(complaints),
        **dict.fromkeys(zero + links, 0),
    }


def _webhook(sandbox: Sandbox, webhook_id: int) -> Webhook:
    for one in sandbox.targets:
        if one.id == webhook_id:
            return one
    raise PostmarkError(404, 404, "This webhook was not found.")


def _check_url(url: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise errors.incompatible_json("the webhook's Url is not an address")


def server_router() -> Router:
    return Router(
        path="/",
        route_handlers=[
            show_server,
            list_webhooks,
            show_webhook,
            create_webhook,
            change_webhook,
            delete_webhook,
            outbound_stats,
        ],
        guards=[postmark_guard],
        middleware=[FaultyReads()],
    )
