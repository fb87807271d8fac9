"""An answer that is given before the request's body was read must still reach the client.

A server that closes a connection with unread bytes on it makes the kernel reset it, and a client that was still sending
loses the answer: instead of a 413 or a 401 it sees a broken connection. So the last message of such an answer is held
until the rest of the body has been read and thrown away, within a bound of bytes and of time. It is held until the app
has returned, so nobody else reads from the connection meanwhile.
"""

import asyncio
import contextlib

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.types.asgi_types import ReceiveMessage

DISCARDED_BYTES_MAX = 32 * 1024 * 1024
"""More than this of a body that nobody wants is not read; its sender may lose the answer."""
DISCARDING_S = 5.0


def finishes_reading(app: ASGIApp) -> ASGIApp:
    """Wrap a whole app, routing and all; requests without a body and those read whole pass straight through."""

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
            # A client that asked first (RFC 9110, 10.1.1) and was not told to go on keeps its body back.
            if body.begun or not _asks_first(scope):
                await body.discard()
            for message in held:
                await send(message)

    return wrapped


class _Body:
    """What is known of a request's body by watching who reads it."""

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
    """HTTP/1 says in its headers whether there is a body; HTTP/2 need not, so there it is looked for."""
    if not str(scope["http_version"]).startswith("1"):
        return True
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


def _asks_first(scope: Scope) -> bool:
    return any(name == b"expect" for name, _ in scope["headers"])
