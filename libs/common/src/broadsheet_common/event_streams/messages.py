"""What is said in a stream, how often, and how it ends.

A stream ends in one of two ways that a client may rely on: after an event that says it is the last, or after a
`retry` that says when to come back. Between events come comments as heart-beats, so that nobody on the way takes the
silence for a fault.
"""

import random
from typing import Final

from litestar.response.sse import ServerSentEventMessage

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


def encode_event(event: str, data: bytes, *, event_id: str) -> bytes:
    """One message. `data` is JSON without line breaks."""
    return ServerSentEventMessage(data=data, event=event, id=event_id, sep="\n").encode()


def beginning() -> bytes:
    return f"retry: {RETRY_MS}\n\n".encode()


def orderly_end() -> bytes:
    """Asks the client to come back; it is sent before a stream ends that has more to say."""
    return f"retry: {RETRY_MS + random.randrange(RETRY_SPREAD_MS)}\n\n".encode()  # noqa: S311  # spreads load, no secret
