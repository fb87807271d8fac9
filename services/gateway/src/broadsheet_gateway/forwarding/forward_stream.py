"""Event streams on their way from a service to a client.

A stream may last for long, so three things that hold for any other request at its start must be kept true while it
runs: that the client is there, that its credentials still allow it, and that this process goes on. Each piece is passed
on as it comes, but only whole messages, so that a stream that is ended here ends between two of them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from litestar.types import Receive, Send
from prometheus_client import CollectorRegistry

from broadsheet_common.event_streams.messages import EVENT_STREAM_MEDIA_TYPE, orderly_end
from broadsheet_common.http.problems import UnavailableError
from broadsheet_common.process.metrics import Gauge
from broadsheet_gateway.forwarding.transport import TransportError, UpstreamAnswer, header_of, is_success

RIGHTS_CHECK_INTERVAL_S: Final = 8.0
RIGHTS_CHECK_TIMEOUT_S: Final = 5.0
UNKNOWN_RIGHTS_MAX: Final = 2
"""After so many checks in a row that could not be made the stream ends: with the times above, within 30 s."""
MESSAGE_MAX_BYTES: Final = 1024 * 1024
RETRY_AFTER_S: Final = 10

_MESSAGE_END: Final = b"\n\n"

IsAllowed = Callable[[], Awaitable[bool | None]]
"""Whether the client may still see the stream; None if that cannot be found out at the moment."""

_log = structlog.get_logger()


class StreamsFullError(UnavailableError):
    slug, title = "streams-full", "As many event streams are open as this server can serve"


class EventStreams:
    """The event streams of this process: how many there are, and their end."""

    def __init__(self, *, streams_max: int, registry: CollectorRegistry) -> None:
        self._streams_max = streams_max
        self._closed = asyncio.Event()
        self._open = 0
        Gauge("gateway_event_streams", "Event streams that are forwarded", registry=registry).set_function(
            lambda: self._open
        )

    @contextmanager
    def place(self) -> Iterator[None]:
        """Raises StreamsFullError."""
        if self._open >= self._streams_max:
            raise StreamsFullError(retry_after_s=RETRY_AFTER_S)
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    def close(self) -> None:
        """Every stream ends after the message that it is sending, and asks its client to come back."""
        self._closed.set()

    async def pass_on(self, pieces: AsyncIterator[bytes], receive: Receive, send: Send, is_allowed: IsAllowed) -> None:
        """Send the body of an answer that has begun, until the service ends it, the client goes, its rights end or
        cannot be checked, or this process is told to stop.
        """
        tasks = {
            "ended": asyncio.create_task(_pump(pieces, send)),
            "client_gone": asyncio.create_task(_until_gone(receive)),
            "not_allowed": asyncio.create_task(self._until_it_must_end(is_allowed)),
        }
        try:
            await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_COMPLETED)
        finally:
            reason = next((name for name, task in tasks.items() if task.done()), "cancelled")
            for task in tasks.values():
                task.cancel()
            results = await asyncio.gather(*tasks.values(), return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result
        if reason == "client_gone":
            return
        if reason == "not_allowed":
            _log.info("stream.ended", reason="stopping" if self._closed.is_set() else "rights")
        if reason != "ended" or not tasks["ended"].result():
            await send({"type": "http.response.body", "body": orderly_end(), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _until_it_must_end(self, is_allowed: IsAllowed) -> None:
        unknown = 0
        while unknown < UNKNOWN_RIGHTS_MAX:
            try:
                async with asyncio.timeout(RIGHTS_CHECK_INTERVAL_S):
                    await self._closed.wait()
            except TimeoutError:
                allowed = await _check(is_allowed)
            else:
                return
            if allowed is False:
                return
            unknown = 0 if allowed else unknown + 1


def is_event_stream(answer: UpstreamAnswer) -> bool:
    is_typed = header_of(answer, b"content-type").partition(";")[0].strip() == EVENT_STREAM_MEDIA_TYPE
    return is_typed and is_success(answer)


async def _check(is_allowed: IsAllowed) -> bool | None:
    try:
        async with asyncio.timeout(RIGHTS_CHECK_TIMEOUT_S):
            return await is_allowed()
    except TimeoutError:
        return None


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _pump(pieces: AsyncIterator[bytes], send: Send) -> bool:
    """Pass on whole messages. Returns whether the service ended the stream itself."""
    kept = b""
    try:
        async for piece in pieces:
            whole, end, kept = (kept + piece).rpartition(_MESSAGE_END)
            if end:
                await send({"type": "http.response.body", "body": whole + end, "more_body": True})
            if len(kept) > MESSAGE_MAX_BYTES:
                _log.error("stream.message_too_large")
                return False
    except TransportError as error:
        _log.warning("stream.broken", error=str(error))
        return False
    return True
