"""The control API under /_sandbox: accepted messages, faults to make, settings.

It has no authentication: the sandbox is for a developer's machine and refuses to start in production. `same_site`
keeps pages of other sites out.
"""

from typing import Annotated, Any, Final

import msgspec
from litestar import Router, delete, get, post, put
from litestar.exceptions import HTTPException
from litestar.params import JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_202_ACCEPTED
from litestar.types import ASGIApp

from broadsheet_postmark_sandbox.api.answers import json_answer
from broadsheet_postmark_sandbox.api.common import AnyRequest, sandbox_of
from broadsheet_postmark_sandbox.events.send_events import (
    EventRequest,
    EventSent,
    NoSuchMessageError,
    QueueFullError,
    send_event,
)
from broadsheet_postmark_sandbox.events.webhooks import Attempt, WebhookCounts
from broadsheet_postmark_sandbox.faults.rules import FaultSet, FaultsShown
from broadsheet_postmark_sandbox.messages.list_messages import Filter, list_messages, summarise
from broadsheet_postmark_sandbox.state import LiveSettings

PAGE_MAX: Final = 1_000
PAGE_WITHOUT_BODIES_MAX: Final = 10_000
PAGE_DEFAULT: Final = 100
DUPLICATES_SHOWN_MAX: Final = 1_000

_METADATA_PREFIX: Final = "metadata_"
_PAGING: Final = frozenset({"after", "limit", "bodies", "duplicates_limit"})


class Health(msgspec.Struct, frozen=True):
    status: str
    messages: int
    bytes_on_disk: int


@get("/health")
async def health(request: AnyRequest) -> Health:
    log = sandbox_of(request).log
    return Health(status="ok", messages=len(log), bytes_on_disk=log.bytes_on_disk)


@get("/messages")
async def messages(
    request: AnyRequest,
    after: Annotated[int, QueryParameter(ge=0)] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_WITHOUT_BODIES_MAX)] = PAGE_DEFAULT,
    bodies: Annotated[bool, QueryParameter()] = True,
) -> ASGIApp:
    """Accepted messages in the order of acceptance.

    Filters: `recipient`, `stream`, `metadata_<key>`; a message must match all. `next_after` continues the list;
    null at the end.
    """
    if bodies and limit > PAGE_MAX:
        raise HTTPException(status_code=400, detail=f"limit is at most {PAGE_MAX} unless bodies=false")
    page = await list_messages(sandbox_of(request).log, _filter(request), after, limit, bodies=bodies)
    return json_answer(200, page)


@delete("/messages", status_code=HTTP_200_OK)
async def forget_messages(request: AnyRequest) -> dict[str, int]:
    """Delete every message; sequence numbers start again."""
    sandbox = sandbox_of(request)
    forgotten = len(sandbox.log)
    sandbox.clear_messages()
    return {"forgotten": forgotten}


@post("/reset", status_code=HTTP_200_OK)
async def reset(request: AnyRequest) -> dict[str, str]:
    """Reset everything to the state at the start: messages, faults, settings, streams, suppressions, webhooks."""
    sandbox_of(request).reset()
    return {"status": "ok"}


@get("/summary")
async def summary(
    request: AnyRequest,
    duplicates_limit: Annotated[int, QueryParameter(ge=0, le=DUPLICATES_SHOWN_MAX)] = 100,
) -> ASGIApp:
    """Counts of messages and recipients, and the recipients of more than one message; the filters of `messages`."""
    return json_answer(200, await summarise(sandbox_of(request).log, _filter(request), duplicates_limit))


@get("/faults")
async def shown_faults(request: AnyRequest) -> FaultsShown:
    return sandbox_of(request).faults.shown()


@put("/faults")
async def set_faults(request: AnyRequest, data: JSONBody[FaultSet]) -> FaultsShown:
    """Replace the rules. Hidden messages become visible, because search lag ends with its rule."""
    sandbox = sandbox_of(request)
    try:
        sandbox.replace_faults(data)
    except ValueError as bad:
        raise HTTPException(status_code=400, detail=str(bad)) from bad
    return sandbox.faults.shown()


@delete("/faults", status_code=HTTP_200_OK)
async def clear_faults(request: AnyRequest) -> FaultsShown:
    sandbox = sandbox_of(request)
    sandbox.replace_faults(FaultSet())
    return sandbox.faults.shown()


@get("/settings")
async def shown_settings(request: AnyRequest) -> LiveSettings:
    return sandbox_of(request).shown_settings()


@put("/settings")
async def change_settings(request: AnyRequest, data: JSONBody[LiveSettings]) -> LiveSettings:
    sandbox = sandbox_of(request)
    try:
        sandbox.change_settings(data)
    except ValueError as bad:
        raise HTTPException(status_code=400, detail=str(bad)) from bad
    return sandbox.shown_settings()


class WebhooksShown(msgspec.Struct, frozen=True):
    """Outgoing webhooks: how many wait, how the others ended, and the last attempts, newest last."""

    pending: int
    counts: WebhookCounts
    attempts: list[Attempt]


@get("/webhooks")
async def shown_webhooks(request: AnyRequest) -> WebhooksShown:
    sender = sandbox_of(request).webhooks
    return WebhooksShown(pending=sender.pending, counts=sender.counts, attempts=list(sender.attempts))


@post("/events", status_code=HTTP_202_ACCEPTED)
async def make_event(request: AnyRequest, data: JSONBody[EventRequest]) -> EventSent:
    """Make an event for a message and send its webhooks."""
    try:
        return send_event(sandbox_of(request), data)
    except NoSuchMessageError as missing:
        raise HTTPException(status_code=404, detail=f"no such message: {missing}") from missing
    except QueueFullError as full:
        raise HTTPException(status_code=503, detail=str(full)) from full
    except ValueError as bad:
        raise HTTPException(status_code=400, detail=str(bad)) from bad


def _filter(request: AnyRequest) -> Filter:
    known: dict[str, Any] = {"metadata": {}}
    for key, value in request.query_params.multi_items():
        lowered = key.lower()
        if lowered.startswith(_METADATA_PREFIX):
            known["metadata"][lowered.removeprefix(_METADATA_PREFIX)] = value
        elif lowered in {"recipient", "stream"}:
            known[lowered] = value
        elif lowered not in _PAGING:
            # A misspelt filter must not act like a filter that matches everything.
            raise HTTPException(status_code=400, detail=f"unknown parameter: {key}")
    return Filter(**known)


def control_router() -> Router:
    return Router(
        path="/_sandbox",
        route_handlers=[
            health,
            messages,
            forget_messages,
            reset,
            summary,
            shown_faults,
            set_faults,
            clear_faults,
            shown_settings,
            change_settings,
            shown_webhooks,
            make_event,
        ],
    )
