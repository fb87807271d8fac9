"""The Postmark client: request shape, header, errors, time-out, and where certainty ends."""

import asyncio
import gc
import uuid
import weakref
from collections.abc import Callable, Coroutine

import httpx
import msgspec
import pytest

from broadsheet_delivery.postmark.call_result import Answered, CallResult, NotSent, Unknown
from broadsheet_delivery.postmark.client import PostmarkClient
from broadsheet_delivery.postmark.error_class import ErrorClass
from broadsheet_delivery.postmark.message import Header, Message, encode_message
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.oracle import Oracle

MESSAGE = Message(
    from_="Broadsheet <newsletter@example.com>",
    to="reader@example.com",
    subject="An issue",
    html_body="<p>Hello</p>",
    text_body="Hello",
    message_stream="broadcast",
    headers=(Header("List-Unsubscribe", "<https://news.example.com/unsubscribe/x>"),),
    metadata={"bs_delivery": "1-1"},
)

Handler = Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]


async def call(handler: Handler, *, timeout_s: float = 5.0, messages: int = 1) -> CallResult:
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http_client:
        client = PostmarkClient(http_client, base_url="http://postmark", token="secret", call_timeout_s=timeout_s)
        return await client.send_batch([encode_message(MESSAGE)] * messages)


async def test_a_batch_is_a_bare_array_in_pascal_case_with_the_token_header() -> None:
    seen: list[httpx.Request] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=[{"ErrorCode": 0, "Message": "OK", "MessageID": str(uuid.uuid4())}])

    assert isinstance(await call(answer), Answered)
    [request] = seen
    assert (request.method, request.url.path) == ("POST", "/email/batch")
    assert request.headers["X-Postmark-Server-Token"] == "secret"
    assert request.headers["Accept"] == request.headers["Content-Type"] == "application/json"
    assert msgspec.json.decode(request.content) == [
        {
            "From": "Broadsheet <newsletter@example.com>",
            "To": "reader@example.com",
            "Subject": "An issue",
            "HtmlBody": "<p>Hello</p>",
            "TextBody": "Hello",
            "MessageStream": "broadcast",
            "Headers": [{"Name": "List-Unsubscribe", "Value": "<https://news.example.com/unsubscribe/x>"}],
            "Metadata": {"bs_delivery": "1-1"},
        }
    ]


@pytest.mark.parametrize("pieces_written", [0, 1, 2, 3])
async def test_a_process_stopped_while_it_writes_does_not_complete_the_request(
    sandbox: RunningSandbox, oracle: Oracle, pieces_written: int
) -> None:
    """The clock leaps after some pieces, the last of them all but the body's end, as it does for a process that gets
    SIGSTOP there and SIGCONT much later. (A real one: test_stopped_sender.py.)
    """
    looks = 0

    def clock_s() -> float:
        nonlocal looks
        looks += 1
        return 1000.0 if looks > 1 + pieces_written else 0.0

    large = msgspec.structs.replace(MESSAGE, html_body="x" * 400_000)
    async with httpx.AsyncClient() as http_client:
        client = PostmarkClient(
            http_client,
            base_url=sandbox.base_url,
            token=sandbox.token,
            call_timeout_s=5.0,
            clock_s=clock_s,
        )
        result = await client.send_batch([encode_message(large)] * 3)
        assert isinstance(result, Unknown)
    assert oracle.messages() == []


class StreamingTransport(httpx.AsyncBaseTransport):
    """Takes a body as a connection does: piece by piece, without keeping the whole."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.headers = httpx.Headers()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        self.pieces = [piece async for piece in request.stream]
        self.headers = request.headers
        count = len(msgspec.json.decode(b"".join(self.pieces)))
        return httpx.Response(200, json=[{"ErrorCode": 0, "MessageID": str(uuid.uuid4())}] * count)


class Batch(list[bytes]):
    """A list that a weak reference can be made to."""


async def test_a_large_batch_goes_out_in_pieces_of_known_length_and_is_let_go_at_once() -> None:
    transport = StreamingTransport()
    large = msgspec.structs.replace(MESSAGE, html_body="x" * 10_000)
    batch = Batch(encode_message(large) for _ in range(200))
    held = weakref.ref(batch)
    async with httpx.AsyncClient(transport=transport) as http_client:
        client = PostmarkClient(http_client, base_url="http://postmark", token="secret", call_timeout_s=5.0)
        gc.disable()
        try:
            result = await client.send_batch(batch)
            del batch
            assert held() is None
        finally:
            gc.enable()
    assert isinstance(result, Answered)
    assert len(result.items) == 200
    assert max(map(len, transport.pieces)) < 300_000
    assert int(transport.headers["Content-Length"]) == sum(map(len, transport.pieces))
    assert "Transfer-Encoding" not in transport.headers


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
async def test_before_the_first_byte_nothing_was_sent(error: type[httpx.TransportError]) -> None:
    async def fail(_: httpx.Request) -> httpx.Response:
        raise error("no")

    result = await call(fail)
    assert isinstance(result, NotSent)
    assert result.error_class is ErrorClass.TRANSIENT


@pytest.mark.parametrize(
    "error",
    [
        httpx.WriteError,
        httpx.WriteTimeout,
        httpx.ReadError,
        httpx.ReadTimeout,
        httpx.RemoteProtocolError,
        httpx.CloseError,
        httpx.DecodingError,
    ],
)
async def test_from_the_first_byte_on_nothing_is_certain(error: type[httpx.HTTPError]) -> None:
    async def fail(_: httpx.Request) -> httpx.Response:
        raise error("no")

    assert isinstance(await call(fail), Unknown)


async def test_an_answer_that_does_not_come_in_time_is_unknown() -> None:
    never = asyncio.Event()

    async def hang(_: httpx.Request) -> httpx.Response:
        await never.wait()
        raise AssertionError

    assert isinstance(await call(hang, timeout_s=0.05), Unknown)
