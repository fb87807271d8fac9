"""The message search, the details of a message and its source."""

from litestar import Router, get
from litestar.params import FromPath
from litestar.types import ASGIApp

from broadsheet_postmark_sandbox.api.answers import json_answer
from broadsheet_postmark_sandbox.api.common import AnyRequest, postmark_guard, sandbox_of
from broadsheet_postmark_sandbox.api.faulty_reads import FaultyReads
from broadsheet_postmark_sandbox.messages.present_message import details_row, source_text
from broadsheet_postmark_sandbox.messages.search_messages import parse_query, search_messages, visible_message


@get("/messages/outbound")
async def search(request: AnyRequest) -> ASGIApp:
    query = parse_query(request.query_params.multi_items())
    return json_answer(200, await search_messages(sandbox_of(request), query))


@get("/messages/outbound/{message_id:str}/details")
async def details(request: AnyRequest, message_id: FromPath[str]) -> ASGIApp:
    stored = visible_message(sandbox_of(request), message_id)
    return json_answer(200, details_row(stored, sandbox_of(request).message_events.of(stored.sequence)))


@get("/messages/outbound/{message_id:str}/dump")
async def dump(request: AnyRequest, message_id: FromPath[str]) -> ASGIApp:
    stored = visible_message(sandbox_of(request), message_id)
    return json_answer(200, {"Body": source_text(stored)})


def messages_router() -> Router:
    return Router(
        path="/",
        route_handlers=[search, details, dump],
        guards=[postmark_guard],
        middleware=[FaultyReads()],
    )
