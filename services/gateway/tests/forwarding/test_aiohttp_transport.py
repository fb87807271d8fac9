"""Requests to a service over a socket: what goes over it, and how each way of failing is told apart."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from broadsheet_common.process.settings import ServiceSettings
from broadsheet_gateway.forwarding.aiohttp_transport import UPSTREAM_IDLE_S, AiohttpTransport
from broadsheet_gateway.forwarding.transport import SentRequest, TransportError
from harness.ports import held_port

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Thing: a\r\n\r\nhi"
SHORT_S, LONG_S = 0.2, 60.0


class Door:
    """A service that gives each request the same bytes, and keeps what it got, a connection an item."""

    def __init__(self, answer: bytes, *, closes: bool) -> None:
        self.answer = answer
        self.closes = closes
        self.got: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        place = len(self.got)
        self.got.append(b"")
        while piece := await reader.read(65536):
            self.got[place] += piece
            if b"\r\n\r\n" in self.got[place]:
                writer.write(self.answer)
                await writer.drain()
                if self.closes:
                    break
        writer.close()
        await writer.wait_closed()


Opened = tuple[Door, AiohttpTransport]


@asynccontextmanager
async def opened(answer: bytes = OK, *, closes: bool = False, connections_max: int = 2) -> AsyncIterator[Opened]:
    door = Door(answer, closes=closes)
    server = await asyncio.start_server(door.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        transport = to_port(port, connections_max=connections_max)
        try:
            yield door, transport
        finally:
            await transport.aclose()


def to_port(port: int, *, connections_max: int = 2) -> AiohttpTransport:
    return AiohttpTransport(
        f"http://127.0.0.1:{port}", connections_max=connections_max, place_timeout_s=SHORT_S, timeout_s=LONG_S
    )


def request(method: str = "GET", target: str = "/a", *, body: bytes = b"", silence_max_s: float = LONG_S) -> Any:
    return SentRequest(method, target, {"accept": "text/plain"}, body, silence_max_s)


async def failure(call: Callable[[], Awaitable[object]]) -> tuple[bool, bool]:
    """Whether it was never sent, and whether it was a time-out."""
    with pytest.raises(TransportError) as failed:
        await call()
    return failed.value.was_never_sent, failed.value.is_timeout


def test_no_connection_is_kept_longer_than_a_stopping_service_gives_notice() -> None:
    [notice_s] = [field.default for field in msgspec.structs.fields(ServiceSettings) if field.name == "drain_notice_s"]
    assert notice_s > UPSTREAM_IDLE_S


async def test_a_request_goes_out_as_it_stands_and_its_answer_comes_back_so() -> None:
    target = "/a%2fb/%7e?q=%e4&r=a+b&s=%20"
    async with opened() as (door, transport):
        answer = await transport.send(request(target=target))
        assert (answer.status, await answer.read()) == (200, b"hi")
        assert answer.headers == [(b"content-length", b"2"), (b"x-thing", b"a")]
        await answer.aclose()
    line, *headers = door.got[0].rstrip().split(b"\r\n")
    assert line == b"GET " + target.encode() + b" HTTP/1.1"
    # Nothing that the client did not say, except what HTTP wants.
    assert {header.partition(b":")[0].lower() for header in headers} == {b"host", b"accept", b"accept-encoding"}


async def test_a_body_is_sent_with_its_length_and_no_kind_of_its_own() -> None:
    async with opened() as (door, transport):
        for body in (b"one", b""):
            await (await transport.send(request("POST", body=body))).aclose()
    heads = b"".join(door.got).lower()
    assert b"content-length: 3\r\n" in heads
    assert b"content-length: 0\r\n" in heads
    assert b"content-type" not in heads


async def test_a_connection_is_used_again_only_after_a_whole_answer() -> None:
    async with opened() as (door, transport):
        for _ in range(2):
            answer = await transport.send(request())
            await answer.read()
            await answer.aclose()
        assert len(door.got) == 1
    async with opened(OK[:-1]) as (door, transport):
        for _ in range(2):
            await (await transport.send(request())).aclose()
        assert len(door.got) == 2


async def test_a_port_where_nobody_listens_was_never_sent_anything() -> None:
    with held_port() as port:
        pass
    transport = to_port(port)
    assert await failure(lambda: transport.send(request())) == (True, False)
    await transport.aclose()


async def test_who_got_no_connection_never_sent_anything() -> None:
    async with opened(OK[:-1], connections_max=1) as (_, transport):
        download = await transport.send(request())
        assert await failure(lambda: transport.send(request())) == (True, False)
        await download.aclose()


@pytest.mark.parametrize(("answer", "closes"), [(b"", True), (b"HTTP/1.1 2", True), (b"SMTP ready\r\n\r\n", False)])
async def test_a_connection_that_broke_later_may_have_carried_the_request(answer: bytes, closes: bool) -> None:
    async with opened(answer, closes=closes) as (_, transport):
        assert await failure(lambda: transport.send(request("POST", body=b"1"))) == (False, False)


async def test_silence_is_a_time_out_and_may_come_after_the_request() -> None:
    async with opened(b"") as (_, transport):
        assert await failure(lambda: transport.send(request(silence_max_s=SHORT_S))) == (False, True)


async def test_a_body_that_breaks_off_or_falls_silent_is_said() -> None:
    async with opened(OK[:-1], closes=True) as (_, transport):
        answer = await transport.send(request())
        assert await failure(answer.read) == (False, False)
        await answer.aclose()
        answer = await transport.send(request())
        with pytest.raises(TransportError):
            _ = [piece async for piece in answer.pieces()]
        await answer.aclose()
    async with opened(OK[:-1]) as (_, transport):
        answer = await transport.send(request(silence_max_s=SHORT_S))
        assert await failure(answer.read) == (False, True)
        await answer.aclose()


@pytest.mark.parametrize(("method", "is_repeated"), [("GET", True), ("DELETE", False), ("PUT", False), ("POST", False)])
async def test_only_a_get_is_sent_again_when_its_kept_connection_is_closed_under_it(
    method: str, is_repeated: bool
) -> None:
    """The service may have done what was asked, and closed the connection then."""
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the first request of a connection, and closes at the second."""
        connections.append(0)
        place = len(connections) - 1
        async for line in reader:
            if line == b"\r\n":
                connections[place] += 1
                if connections[place] == 2:
                    break
                writer.write(OK)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    transport = to_port(server.sockets[0].getsockname()[1])
    try:
        first = await transport.send(request())
        await first.read()
        await first.aclose()
        if is_repeated:
            await (await transport.send(request(method))).aclose()
        else:
            assert await failure(lambda: transport.send(request(method))) == (False, False)
    finally:
        await transport.aclose()
        server.close()
    assert connections == ([2, 1] if is_repeated else [2])
