"""The client of Postmark's API: what a request looks like, and what becomes of errors and time-outs."""

import asyncio
import uuid
from collections.abc import Callable

import httpx
import msgspec
import pytest

from broadsheet_delivery.postmark.call_result import AcceptedItem, Answered, CallResult, NotSent, Unknown
from broadsheet_delivery.postmark.client import PostmarkClient
from broadsheet_delivery.postmark.error_class import ErrorClass
from broadsheet_delivery.postmark.message import Header, Message, encode_message

MESSAGE = Message(
    from_="Broadsheet <news@example.com>",
    to="reader@example.com",
    subject="First",
    html_body="<p>HTML</p>",
    text_body="Text",
    message_stream="broadcast",
    headers=(Header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),),
    metadata={"bs_delivery": "1-1"},
)


async def _send(answer: Callable[[httpx.Request], httpx.Response], timeout_s: float = 5.0) -> CallResult:
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        client = PostmarkClient(http, base_url="https://postmark.example", token="token-1", call_timeout_s=timeout_s)
        return await client.send_batch([encode_message(MESSAGE)])


async def test_a_request_has_postmarks_shape_fields_in_pascal_case_and_the_token_in_its_header() -> None:
    seen: list[httpx.Request] = []
    message_id = uuid.uuid4()

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=[{"ErrorCode": 0, "Message": "OK", "MessageID": str(message_id)}])

    assert await _send(answer) == Answered((AcceptedItem(message_id),))
    [request] = seen
    assert (request.method, str(request.url)) == ("POST", "https://postmark.example/email/batch")
    assert request.headers["X-Postmark-Server-Token"] == "token-1"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Accept"] == "application/json"
    assert msgspec.json.decode(request.content) == [
        {
            "From": "Broadsheet <news@example.com>",
            "To": "reader@example.com",
            "Subject": "First",
            "HtmlBody": "<p>HTML</p>",
            "TextBody": "Text",
            "MessageStream": "broadcast",
            "Headers": [{"Name": "List-Unsubscribe-Post", "Value": "List-Unsubscribe=One-Click"}],
            "Metadata": {"bs_delivery": "1-1"},
        }
    ]


async def test_a_success_without_an_error_code_is_a_success() -> None:
    message_id = uuid.uuid4()
    result = await _send(lambda _: httpx.Response(200, json=[{"MessageID": str(message_id)}]))
    assert result == Answered((AcceptedItem(message_id),))


@pytest.mark.parametrize(
    ("status", "code", "error_class"),
    [
        (401, 10, ErrorClass.ACCOUNT),
        (422, 405, ErrorClass.ACCOUNT),
        (422, 400, ErrorClass.CONFIGURATION),
        (413, 413, ErrorClass.TOO_LARGE),
        (429, 429, ErrorClass.TRANSIENT),
        (503, 100, ErrorClass.TRANSIENT),
    ],
)
async def test_an_error_that_refuses_the_whole_request_means_that_nothing_was_sent(
    status: int, code: int, error_class: ErrorClass
) -> None:
    body, headers = {"ErrorCode": code, "Message": "No."}, {"X-PM-ApiErrorCode": str(code)}
    result = await _send(lambda _: httpx.Response(status, json=body, headers=headers))
    assert isinstance(result, NotSent)
    assert (result.error_class, result.status) == (error_class, status)


@pytest.mark.parametrize("status", [204, 302, 403, 408, 413, 429, 500, 502, 504])
async def test_an_error_behind_which_the_mail_may_have_gone_out_is_unknown(status: int) -> None:
    result = await _send(lambda _: httpx.Response(status, text="<html>Bad gateway</html>"))
    assert isinstance(result, Unknown)


async def test_no_answer_in_time_is_unknown() -> None:
    class Silent(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.Event().wait()
            raise AssertionError(f"there was to be no answer to {request.url}")

    async with httpx.AsyncClient(transport=Silent()) as http:
        client = PostmarkClient(http, base_url="https://postmark.example", token="token-1", call_timeout_s=0.05)
        result = await client.send_batch([encode_message(MESSAGE)])
    assert result == Unknown("no answer within 0.05 s")


async def test_no_connection_means_that_nothing_was_sent() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    result = await _send(refuse)
    assert isinstance(result, NotSent)
    assert result.error_class is ErrorClass.TRANSIENT


async def test_a_connection_that_breaks_after_the_request_is_unknown() -> None:
    def break_off(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("reset", request=request)

    assert isinstance(await _send(break_off), Unknown)
