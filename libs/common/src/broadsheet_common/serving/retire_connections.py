"""Retires clients' kept-alive connections before the process stops listening.

A client that sends on a kept-alive connection at the moment when the server closes it cannot know whether the
request was handled; for a POST it may not even try again. So once the process is told to stop, each answer
carries `Connection: close` (RFC 9112, 9.6), and the client opens its next connection elsewhere. A client that
never reuses a connection that was idle for longer than the drain notice never meets a closed one: the gateway's
pool does so (`UPSTREAM_IDLE_S`).
"""

from collections.abc import Callable

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send


def retires_connections(app: ASGIApp, draining: Callable[[], bool]) -> ASGIApp:
    """Wrap a whole app; `draining` is called at the start of each answer."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        # Only HTTP/1 has this header; HTTP/2 has a frame for it.
        if scope["type"] != ScopeType.HTTP or not scope.get("http_version", "1.1").startswith("1"):
            await app(scope, receive, send)
            return

        async def send_retiring(message: Message) -> None:
            if message["type"] == "http.response.start" and draining():
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        await app(scope, receive, send_retiring)

    return wrapped
