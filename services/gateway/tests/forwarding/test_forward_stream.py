"""What ends a stream of events on its way through, and where it is cut."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from broadsheet_gateway.forwarding import forward_stream
from broadsheet_gateway.forwarding.forward_stream import EventStreams, StreamsFullError
from broadsheet_gateway.forwarding.transport import TransportError

EVENT = b"event: issue\ndata: {}\n\n"
MAX_S = 30.0


async def pieces_of(*pieces: bytes, then: Exception | None = None, ends: bool = False) -> AsyncIterator[bytes]:
    """A body in these pieces; then an error, or silence."""
    for piece in pieces:
        yield piece
    if then is not None:
        raise then
    if not ends:
        await asyncio.Event().wait()


class Client:
    """Who reads; `leaves` closes the connection."""

    def __init__(self) -> None:
        self.leaves = asyncio.Event()
        self.got = b""
        self.is_ended = False

    async def receive(self) -> Any:
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.got += message["body"]
        self.is_ended = not message["more_body"]


def answering(*verdicts: bool | None) -> Callable[[], Awaitable[bool | None]]:
    """Checks of rights: one verdict each, and the last one from then on."""
    left = list(verdicts)

    async def check() -> bool | None:
        return left.pop(0) if len(left) > 1 else left[0]

    return check


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> EventStreams:
    monkeypatch.setattr(forward_stream, "RIGHTS_CHECK_INTERVAL_S", 0.01)
    return EventStreams(streams_max=2, registry=CollectorRegistry())


@pytest.fixture
def client() -> Client:
    return Client()


async def pass_on(
    streams: EventStreams,
    client: Client,
    body: AsyncIterator[bytes],
    check: Callable[[], Awaitable[bool | None]] | None = None,
) -> None:
    async with asyncio.timeout(MAX_S):
        await streams.pass_on(body, client.receive, client.send, check or answering(True))


async def test_a_stream_that_the_service_ends_is_passed_on_as_it_was(streams: EventStreams, client: Client) -> None:
    await pass_on(streams, client, pieces_of(EVENT[:5], EVENT[5:] + EVENT, ends=True))
    assert (client.got, client.is_ended) == (EVENT * 2, True)


@pytest.mark.parametrize("verdicts", [(True, False), (None,), (True, None, None)])
async def test_it_ends_when_rights_end_or_cannot_be_checked_twice_running(
    streams: EventStreams, client: Client, verdicts: tuple[bool | None, ...]
) -> None:
    await pass_on(streams, client, pieces_of(EVENT, EVENT[:9]), answering(*verdicts))
    # Between two messages: of the second, which had not arrived whole, nothing is shown.
    assert client.got.startswith(EVENT + b"retry: ")
    assert client.is_ended


async def test_one_check_that_could_not_be_made_is_forgiven(streams: EventStreams, client: Client) -> None:
    checks = [True, None, True, None, True]

    async def check() -> bool | None:
        verdict = checks.pop(0)
        if not checks:
            client.leaves.set()
        return verdict

    await pass_on(streams, client, pieces_of(EVENT), check)
    assert checks == []
    assert (client.got, client.is_ended) == (EVENT, False)  # it went on until the client left


async def test_a_check_that_hangs_is_one_that_could_not_be_made(
    streams: EventStreams, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward_stream, "RIGHTS_CHECK_TIMEOUT_S", 0.01)

    async def hangs() -> bool | None:
        await asyncio.Event().wait()
        return True

    await pass_on(streams, client, pieces_of(EVENT), hangs)
    assert client.is_ended


@pytest.mark.parametrize("error", [TransportError("gone"), TransportError("silent for too long", is_timeout=True)])
async def test_a_service_that_breaks_off_or_falls_silent_is_an_end_in_order(
    streams: EventStreams, client: Client, error: Exception
) -> None:
    await pass_on(streams, client, pieces_of(EVENT, EVENT[:9], then=error))
    assert client.got.startswith(EVENT + b"retry: ")
    assert client.is_ended


async def test_a_message_without_end_is_not_kept_for_ever(
    streams: EventStreams, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward_stream, "MESSAGE_MAX_BYTES", 100)
    await pass_on(streams, client, pieces_of(EVENT, b"x" * 101))
    assert client.got.startswith(EVENT + b"retry: ")


async def test_all_end_when_the_process_is_told_to_stop(streams: EventStreams, client: Client) -> None:
    streams.close()
    await pass_on(streams, client, pieces_of())
    assert client.got.startswith(b"retry: ")
    assert client.is_ended


async def test_a_fault_of_ours_is_not_hidden(streams: EventStreams, client: Client) -> None:
    async def fault() -> bool | None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await pass_on(streams, client, pieces_of(EVENT), fault)


def test_places_are_bounded_and_given_back(streams: EventStreams) -> None:
    with streams.place(), streams.place():
        with pytest.raises(StreamsFullError) as refused, streams.place():
            pass
        assert refused.value.headers["Retry-After"]
    with streams.place(), streams.place():
        pass
