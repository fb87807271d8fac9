"""Bounces and their counts."""

from collections import Counter
from typing import Final

import msgspec
from litestar import Router, get, put
from litestar.params import FromPath
from litestar.types import ASGIApp

from broadsheet_postmark_sandbox.api.answers import json_answer
from broadsheet_postmark_sandbox.api.common import AnyRequest, postmark_guard, query_of, sandbox_of
from broadsheet_postmark_sandbox.api.errors import PostmarkError
from broadsheet_postmark_sandbox.api.faulty_reads import FaultyReads
from broadsheet_postmark_sandbox.events.bounces import BOUNCE_TYPES, Bounce
from broadsheet_postmark_sandbox.messages.search_messages import COUNT_MAX, WINDOW_MAX
from broadsheet_postmark_sandbox.state import Sandbox

_FILTERS: Final = frozenset({"type", "inactive", "emailfilter", "tag", "messageid", "messagestream"})
_IGNORED: Final = frozenset({"count", "offset", "fromdate", "todate"})


@get("/bounces")
async def list_bounces(request: AnyRequest) -> ASGIApp:
    """Bounces, newest first; `count` and `offset` as in the message search."""
    query = query_of(request)
    unknown = query.keys() - _FILTERS - _IGNORED
    if unknown:
        raise PostmarkError(422, 408, f"Unknown parameter '{min(unknown)}'.")
    count, offset = _number(query, "count", COUNT_MAX), _number(query, "offset", WINDOW_MAX)
    if count + offset > WINDOW_MAX:
        raise PostmarkError(422, 408, f"The sum of 'count' and 'offset' cannot exceed {WINDOW_MAX}.")
    found = [bounce for bounce in sandbox_of(request).bounces.newest_first() if _wanted(bounce, query)]
    rows = [bounce.row() for bounce in found[offset : offset + count]]
    return json_answer(200, {"TotalCount": len(found), "Bounces": rows})


@get("/bounces/{bounce_id:int}")
async def show_bounce(request: AnyRequest, bounce_id: FromPath[int]) -> ASGIApp:
    return json_answer(200, _bounce(sandbox_of(request), bounce_id).row())


@get("/bounces/{bounce_id:int}/dump")
async def dump_bounce(request: AnyRequest, bounce_id: FromPath[int]) -> ASGIApp:
    bounce = _bounce(sandbox_of(request), bounce_id)
    return json_answer(200, {"Body": f"Final-Recipient: rfc822; {bounce.email}\r\nDiagnostic-Code: {bounce.details}"})


@put("/bounces/{bounce_id:int}/activate")
async def activate_bounce(request: AnyRequest, bounce_id: FromPath[int]) -> ASGIApp:
    """Reactivate the address, so that mail is sent to it again; a complaint cannot be reactivated."""
    sandbox = sandbox_of(request)
    bounce = _bounce(sandbox, bounce_id)
    if not bounce.can_activate:
        raise PostmarkError(422, 408, "This bounce cannot be activated.")
    sandbox.streams[bounce.stream].suppressions.pop(bounce.email.lower(), None)
    bounce.inactive = False
    return json_answer(200, {"Message": "OK", "Bounce": bounce.row()})


@get("/deliverystats")
async def delivery_stats(request: AnyRequest) -> ASGIApp:
    sandbox = sandbox_of(request)
    bounces = sandbox.bounces.newest_first()
    counts = Counter(bounce.kind.type for bounce in bounces)
    rows: list[dict[str, object]] = [{"Name": "All", "Count": len(bounces)}]
    rows += [
        {"Type": kind.type, "TypeCode": kind.code, "Name": kind.name, "Count": counts[kind.type]}
        for kind in BOUNCE_TYPES.values()
        if counts[kind.type]
    ]
    inactive = sum(bounce.inactive for bounce in bounces)
    return json_answer(200, {"InactiveMails": inactive, "Bounces": rows})


def _number(query: dict[str, str], name: str, highest: int) -> int:
    try:
        value = msgspec.convert(query[name], int, strict=False)
    except KeyError as missing:
        raise PostmarkError(422, 408, f"The '{name}' parameter is required.") from missing
    except msgspec.ValidationError as wrong:
        raise PostmarkError(422, 408, f"Invalid '{name}'.") from wrong
    if not 0 <= value <= highest:
        raise PostmarkError(422, 408, f"'{name}' must be between 0 and {highest}.")
    return value


def _wanted(bounce: Bounce, query: dict[str, str]) -> bool:
    return (
        query.get("type", bounce.kind.type).lower() == bounce.kind.type.lower()
        and query.get("inactive", str(bounce.inactive)).lower() == str(bounce.inactive).lower()
        and query.get("emailfilter", "").lower() in bounce.email.lower()
        and query.get("tag", bounce.tag) == bounce.tag
        and query.get("messageid", bounce.message_id or "").lower() == (bounce.message_id or "").lower()
        and query.get("messagestream", bounce.stream) == bounce.stream
    )


def _bounce(sandbox: Sandbox, bounce_id: int) -> Bounce:
    bounce = sandbox.bounces.get(bounce_id)
    if bounce is None:
        raise PostmarkError(422, 407, "Bounce not found.")
    return bounce


def bounces_router() -> Router:
    return Router(
        path="/",
        route_handlers=[list_bounces, show_bounce, dump_bounce, activate_bounce, delivery_stats],
        guards=[postmark_guard],
        middleware=[FaultyReads()],
    )
