"""Delivers an answer that is sent before the request's body was read.

When a server closes a connection with unread bytes on it, the kernel resets it, and a client that is still
sending loses the answer: it sees a broken connection instead of a 413 or a 401. So the last message of such an
answer is held back until the rest of the body has been read and discarded, up to a limit of bytes and of time. It
is also held until the app has returned, so that only one reader uses the connection.
"""

import asyncio
import contextlib

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.types.asgi_types import ReceiveMessage

DISCARDED_BYTES_MAX = 32 * 1024 * 1024
"""At most so much of an unwanted body is read; a client that sends more may lose the answer."""
DISCARDING_S = 5.0


def finishes_reading(app: ASGIApp) -> ASGIApp:
    """Wrap a whole app, including its routing. Requests without a body, and those whose body was read, are not
    affected.
    """

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or not _announces_body(scope):
            await app(scope, receive, send)
            return
        body = _Body(receive)
        held: list[Message] = []

        async def hold_the_last(message: Message) -> None:
            is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
            if is_last and not body.ended:
                held.append(message)
            else:
                await send(message)

        await app(scope, body.receive, hold_the_last)
        if held:
            # A client that sent `Expect: 100-continue` (RFC 9110, 10.1.1) and got no 100 does not send its body.
            if body.begun or not _asks_first(scope):
                await body.discard()
            for message in held:
                await send(message)

    return wrapped


class _Body:
    """Tracks how far a request's body has been read."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.begun = False
        self.ended = False

    async def receive(self) -> ReceiveMessage:
        self.begun = True
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self.ended = True
        return message

    async def discard(self) -> None:
        left = DISCARDED_BYTES_MAX
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DISCARDING_S):
                while not self.ended and left > 0:
                    message = await self.receive()
                    if message["type"] == "http.request":
                        left -= len(message["body"])


def _announces_body(scope: Scope) -> bool:
    """HTTP/1 announces a body in its headers. HTTP/2 need not, so there the body is always checked."""
    if not str(scope["http_version"]).startswith("1"):
        return True
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


def _asks_first(scope: Scope) -> bool:
    return any(name == b"expect" for name, _ in scope["headers"])
