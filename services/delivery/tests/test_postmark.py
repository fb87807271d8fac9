"""The Postmark client: request shape, header, errors, time-out, and where certainty ends."""

import asyncio
import gc
import uuid
import weakref
from collections.abc import Callable, Coroutine

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_delivery.postmark.call_result import AcceptedItem, Answered, CallResult, NotSent, RejectedItem, Unknown
from broadsheet_delivery.postmark.client import PostmarkClient, SearchUnavailableError, read_batch_answer
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


def answered(*items: dict[str, object]) -> httpx.Response:
    return httpx.Response(200, json=list(items))


def test_results_come_in_the_order_of_the_request() -> None:
    first, third = uuid.uuid4(), uuid.uuid4()
    result = read_batch_answer(
        answered(
            {"ErrorCode": 0, "MessageID": str(first), "SubmittedAt": "2026-01-01T00:00:00.1234567Z", "To": "a"},
            {"ErrorCode": 406, "Message": "You tried to send to a recipient that has been marked as inactive."},
            {"Message": "Message accepted, but delivery may be delayed.", "MessageID": str(third)},
        ),
        3,
    )
    assert result == Answered(
        (
            AcceptedItem(first),
            RejectedItem(406, "You tried to send to a recipient that has been marked as inactive."),
            AcceptedItem(third),
        )
    )


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[", b"[]", b"[{}]", b"[null]", b"<html>", b'[{"ErrorCode":0,"MessageID":"x"}]', b"\xff\xfe"],
)
def test_an_answer_that_cannot_be_read_leaves_all_of_it_unknown(content: bytes) -> None:
    assert isinstance(read_batch_answer(httpx.Response(200, content=content), 1), Unknown)


@given(st.integers(100, 599), st.binary(max_size=200), st.integers(1, 3))
def test_any_answer_is_one_of_the_three_results(status: int, content: bytes, count: int) -> None:
    result = read_batch_answer(httpx.Response(status, content=content), count)
    assert isinstance(result, Answered | NotSent | Unknown)
    if isinstance(result, Answered):
        assert len(result.items) == count


@pytest.mark.parametrize(("value", "expected"), [("7", 7.0), ("100000", 300.0), ("soon", None), ("-1", None)])
def test_retry_after_is_honoured_within_a_bound(value: str, expected: float | None) -> None:
    result = read_batch_answer(httpx.Response(429, headers={"Retry-After": value}), 1)
    assert isinstance(result, NotSent)
    assert result.retry_after_s == expected


async def search(handler: Handler) -> list[object]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http_client:
        client = PostmarkClient(http_client, base_url="http://postmark", token="secret", call_timeout_s=1)
        return list(await client.search(attempt_id=uuid.UUID(int=1), stream="broadcast"))


async def test_the_search_names_the_stream_and_one_metadata_field() -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        assert dict(request.url.params) == {
            "count": "500",
            "offset": "0",
            "messagestream": "broadcast",
            "metadata_bs_attempt": str(uuid.UUID(int=1)),
        }
        return httpx.Response(
            200,
            json={
                "TotalCount": 2,
                "Messages": [
                    {"MessageID": str(uuid.UUID(int=2)), "Metadata": {"bs_attempt": str(uuid.UUID(int=1))}},
                    {"MessageID": str(uuid.UUID(int=3)), "Metadata": {"bs_attempt": "another"}},
                ],
            },
        )

    # A row that does not carry our attempt is not ours, whatever the filter did.
    assert len(await search(answer)) == 1


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(500),
        httpx.Response(503, json={"ErrorCode": 100}),
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, json={"TotalCount": 1}),
        httpx.Response(
            200,
            json={"TotalCount": 1, "Messages": [{"MessageID": "x", "Metadata": {"bs_attempt": str(uuid.UUID(int=1))}}]},
        ),
    ],
    ids=["500", "503", "page", "no rows", "bad id"],
)
async def test_a_search_without_a_complete_answer_says_nothing(response: httpx.Response) -> None:
    async def answer(_: httpx.Request) -> httpx.Response:
        return response

    with pytest.raises(SearchUnavailableError):
        await search(answer)
