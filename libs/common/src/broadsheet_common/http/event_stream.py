"""Server-sent events (WHATWG HTML, section 9.2): the messages, the answer that carries them, and its end.

A stream ends in one of two ways that a client may rely on: after an event that says it is the last, or after a
`retry` that says when to come back. Between events come comments as heart-beats, so that nobody on the way takes the
silence for a fault.
"""

import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Final

from litestar.params import HeaderParameter
from litestar.response.sse import ServerSentEventMessage
from litestar.response.streaming import ASGIStreamingResponse
from litestar.types import Receive, Send

EVENT_STREAM_MEDIA_TYPE: Final = "text/event-stream"
HEART_BEAT_INTERVAL_S: Final = 10.0
"""Longest silence in a stream."""
SILENCE_MAX_S: Final = 3 * HEART_BEAT_INTERVAL_S
"""A stream that was silent for longer is broken."""
RETRY_MS: Final = 2_000
"""When a client whose connection breaks should come back."""
RETRY_SPREAD_MS: Final = 5_000
"""After an orderly end clients come back within this time after `RETRY_MS`, so that they do not all come at once."""

HEART_BEAT: Final = b":\n\n"

LastEventId = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID",
        max_length=200,
        description="The `id` of the last event that the client got. If nothing has changed since, it is not repeated.",
    ),
]


def encode_event(event: str, data: bytes, *, event_id: str) -> bytes:
    """One message. `data` is JSON without line breaks."""
    return ServerSentEventMessage(data=data, event=event, id=event_id, sep="\n").encode()


def beginning() -> bytes:
    return f"retry: {RETRY_MS}\n\n".encode()


def orderly_end() -> bytes:
    """Asks the client to come back; it is sent before a stream ends that has more to say."""
    return f"retry: {RETRY_MS + random.randrange(RETRY_SPREAD_MS)}\n\n".encode()  # noqa: S311  # spreads load, no secret


class EventStreamAnswer(ASGIStreamingResponse):
    """An answer that streams messages until the generator ends or the client goes; then the generator is closed."""

    def __init__(self, messages: AsyncGenerator[bytes]) -> None:
        super().__init__(
            iterator=messages,
            media_type=EVENT_STREAM_MEDIA_TYPE,
            # Proxies (nginx is one that heeds the second) must pass each event on as it comes.
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )
        self._messages = messages

    async def send_body(self, send: Send, receive: Receive) -> None:
        # Litestar leaves a generator that it stopped reading to the garbage collector.
        async with aclosing(self._messages):
            await super().send_body(send, receive)
