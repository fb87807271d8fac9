"""The answer that streams messages, and the header with which a client comes back."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

from litestar.params import HeaderParameter
from litestar.response.streaming import ASGIStreamingResponse
from litestar.types import Receive, Send

from broadsheet_common.event_streams.messages import EVENT_STREAM_MEDIA_TYPE

LastEventId = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID",
        max_length=200,
        description="The `id` of the last event that the client got. If nothing has changed since, it is not repeated.",
    ),
]


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
