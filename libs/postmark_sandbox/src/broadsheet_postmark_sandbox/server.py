"""The HTTP server: uvicorn on httptools, chosen because a handler can close its connection.

Granian answers 500 when an application raises or returns without an answer, and cannot abort a connection, so a
dropped answer would look like an error from Postmark. Here the protocol puts its asyncio transport into the
request's state. Aborting it gives the client an end of file or a reset, without a byte before it.
"""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Generator
from types import FrameType
from typing import Any, Final

from litestar import Litestar
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import HANDLED_SIGNALS

from broadsheet_postmark_sandbox.api.answers import TRANSPORT_KEY

BACKLOG: Final = 2_048
GRACE_S: Final = 0.3
DATE_HEADER_S: Final = 1.0


class CannotListenError(OSError):
    """The server cannot listen on the address; the text says which address and why."""


class AbortableProtocol(HttpToolsProtocol):
    """HTTP/1.1 with the connection's transport in each request's state."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"][TRANSPORT_KEY] = self.transport


class SandboxServer(Server):
    """Stops at once: short requests may finish within GRACE_S, the rest are aborted."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._leave = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def request_exit(self) -> None:
        """Begin to stop, from any thread or signal handler."""
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._leave.set)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self.request_exit()

    async def main_loop(self) -> None:
        """Wait for the request to exit; uvicorn's own loop checks for it only ten times a second."""
        self._loop = asyncio.get_running_loop()
        while not self.should_exit:
            await self.on_tick(0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leave.wait(), DATE_HEADER_S)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Let SIGTERM and SIGINT end the server, and the process with status 0 afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=GRACE_S)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        remaining = list(self.server_state.tasks)
        for task in remaining:
            task.cancel()
        await asyncio.gather(*remaining, return_exceptions=True)
        await self.lifespan.shutdown()


def listen(host: str, port: int) -> socket.socket:
    """Listen on the port. Raises CannotListenError with a text for the user."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's algorithm off only if it sees that the protocol is TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as failed:
        listener.close()
        raise CannotListenError(f"cannot listen on {host}:{port}: {failed.strerror or failed}") from failed
    listener.setblocking(False)
    return listener


def make_server(app: Litestar) -> SandboxServer:
    options: dict[str, Any] = {
        "http": AbortableProtocol,
        "ws": "none",
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "timeout_keep_alive": 75,
    }
    return SandboxServer(Config(app, **options))
