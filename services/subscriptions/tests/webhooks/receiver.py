"""A real receiver of webhooks on loopback: keeps what it was sent, and answers as it is told to."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

Answer = Callable[["Received"], Awaitable[web.StreamResponse]]


class Received(msgspec.Struct, frozen=True):
    """One call, as it came."""

    request: web.Request
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        decoded: dict[str, Any] = msgspec.json.decode(self.body)
        return decoded

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]


class Receiver:
    """`answer` may be replaced at any time; `status` is what it answers by itself."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.status = 200
        self.body = b"thank you"
        self.headers: dict[str, str] = {}
        self.answer: Answer | None = None
        self.at_once = 0
        self.at_once_max = 0
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def start(self, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        """On a free port at first, and on the same one again."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=1.0, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, self.port, ssl_context=tls, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def url(self, path: str = "/hook", *, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def of_type(self, type_: str) -> list[Received]:
        return [one for one in self.received if one.message["type"] == type_]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        try:
            received = Received(
                request, {name.lower(): value for name, value in request.headers.items()}, await request.read()
            )
            self.received.append(received)
            if self.answer is not None:
                return await self.answer(received)
            return web.Response(status=self.status, body=self.body, headers=self.headers)
        finally:
            self.at_once -= 1


@asynccontextmanager
async def receiving(*, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncGenerator[Receiver]:
    receiver = Receiver()
    await receiver.start(host=host, tls=tls)
    try:
        yield receiver
    finally:
        await receiver.stop()


async def never(_: Received) -> web.StreamResponse:
    """Long enough for every time-out in the tests; the client going away ends it."""
    await asyncio.sleep(30)
    return web.Response()
