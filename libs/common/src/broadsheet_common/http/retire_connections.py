"""A process that is about to stop listening takes its clients' kept connections out of use first.

A client that sends on a kept connection at the moment when the server closes it cannot know whether the request was
handled; for a POST it may not even try again. So from the first notice on, each answer says `Connection: close` (RFC
9112, 9.6), and the client opens its next one elsewhere. A client that reuses no connection which was idle for longer
than the notice never meets a closed one: the gateway's pool keeps to that (`UPSTREAM_IDLE_S`).
"""

from collections.abc import Callable

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send


def retires_connections(app: ASGIApp, draining: Callable[[], bool]) -> ASGIApp:
    """Wrap a whole app; `draining` is asked at the start of each answer."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        # Only HTTP/1 has the header; HTTP/2 says it with a frame of its own.
        if scope["type"] != ScopeType.HTTP or not scope.get("http_version", "1.1").startswith("1"):
            await app(scope, receive, send)
            return

        async def send_retiring(message: Message) -> None:
            if message["type"] == "http.response.start" and draining():
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        await app(scope, receive, send_retiring)

    return wrapped
