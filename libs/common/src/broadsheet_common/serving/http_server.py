"""The HTTP/1.1 server of every service: uvicorn on httptools, with limits per connection and on the number of
connections.

A client costs a file descriptor and memory from the moment it connects, before it is authenticated. So every
state of a connection has a time limit (RFC 9112, 9.5 lets a server close for that). When the maximum number of
connections is reached, the connection that has waited longest without a complete request is closed to admit the
new one: silent connections never keep a client out. The number of one address's connections has a maximum of its own,
and they make room only for each other. No HTTP/2: a proxy that ends TLS speaks it. Why uvicorn: docs/decisions/0018.
"""

import asyncio
import contextlib
import email.utils
import fcntl
import logging
import socket
import termios
import time
from array import array
from collections.abc import Callable, Iterable
from typing import Any, Literal, cast

import msgspec
from litestar.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from broadsheet_common.http.problems import (
    PROBLEM_MEDIA_TYPE,
    HeadersTooLargeError,
    MalformedRequestError,
    problem_of,
)
from broadsheet_common.serving.answer_in_pieces import in_pieces
from broadsheet_common.serving.joined_writes import JoinedWrites
from broadsheet_common.serving.listener import BACKLOG

HEADERS_MAX_BYTES = 64 * 1024
HEADERS_MAX = 200
PIPELINED_MAX = 8
"""Requests that may wait on a connection while another one is being answered."""
WRITE_MIN_BYTES_PER_S = 1024
"""A client that reads an answer more slowly than this for `write_timeout_s` is treated as not reading."""
STALLED_EVICTED_AFTER_S = 2.0
"""When the server is full, a connection may be closed whose body has paused for longer than this, or whose client has
not read its answer for longer.
"""
SWEEP_INTERVAL_MAX_S = 1.0
_TICK_S = 1.0

CloseReason = Literal["first_byte", "headers", "body", "idle", "write", "evicted", "address", "too_large"]
Waiting = Literal["first_byte", "idle", "headers", "body", "nothing"]
"""What the server waits for from the client: `nothing` from the end of its request until the answer has been sent."""

# uvicorn's messages about clients' faults would let any client fill the log. `serving` logs what the app raises.
logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)


CountAs = Callable[[str], str | None]
"""From a peer's address to the name under which its connections are counted together; None: they are not counted."""


def _not_counted(_: str) -> str | None:
    return None


class ConnectionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits on what one client may use. All times in seconds."""

    connections_max: int
    per_address_max: int | None = None
    """Connections that are counted together."""
    first_byte_timeout_s: float
    """From the connection to the first byte of a request."""
    header_timeout_s: float
    """From a request's first byte to the end of its headers."""
    body_idle_timeout_s: float
    """Between two pieces of a body that the app waits for. The app limits the total time."""
    keep_alive_timeout_s: float
    """From an answer to the next request."""
    write_timeout_s: float
    """Time in which the client must take at least `WRITE_MIN_BYTES_PER_S` of a waiting answer."""

    @property
    def sweep_interval_s(self) -> float:
        shortest = min(
            self.first_byte_timeout_s,
            self.header_timeout_s,
            self.body_idle_timeout_s,
            self.keep_alive_timeout_s,
            self.write_timeout_s,
        )
        return min(SWEEP_INTERVAL_MAX_S, shortest / 4)


class _HeadersTooLargeError(Exception):
    pass


_MALFORMED = msgspec.json.encode(
    problem_of(MalformedRequestError("It is not valid HTTP/1.1; percent-encode non-ASCII characters in the URL."))
)
_HEADERS_TOO_LARGE = msgspec.json.encode(problem_of(HeadersTooLargeError()))


class Connections:
    """The connections of one server: which of them wait, and for how long."""

    def __init__(
        self, limits: ConnectionLimits, note_close: Callable[[CloseReason], None], count_as: CountAs = _not_counted
    ) -> None:
        self.limits = limits
        self.note_close = note_close
        self.open: set[BoundedProtocol] = set()
        self.nobody = asyncio.Event()
        self.nobody.set()
        self._count_as = count_as
        self._by_address: dict[str, set[BoundedProtocol]] = {}
        # Connections without a complete request header, the longest waiting first. A dict keeps insertion order and
        # removes in constant time.
        self._requestless: dict[BoundedProtocol, None] = {}

    def add(self, connection: "BoundedProtocol") -> None:
        self.open.add(connection)
        self.nobody.clear()
        self.wait_for_request(connection)
        if not self._is_within_its_address(connection):
            return
        if len(self.open) > self.limits.connections_max:
            longest = next(iter(self._requestless))
            (longest if longest is not connection else _stalled_longest(self.open) or connection).abort("evicted")

    def _is_within_its_address(self, newcomer: "BoundedProtocol") -> bool:
        """Count it. Above the maximum, one connection of the same address is closed: whichever has waited longest
        without a request, else a stalled one, else the new one. Returns whether that is still open.
        """
        most = self.limits.per_address_max
        newcomer.counted_as = self._count_as(newcomer.client[0]) if newcomer.client and most is not None else None
        if newcomer.counted_as is None or most is None:
            return True
        same = self._by_address.setdefault(newcomer.counted_as, set())
        same.add(newcomer)
        if len(same) <= most:
            return True
        waiting = [one for one in same if one in self._requestless and one is not newcomer]
        longest = max(waiting, key=lambda one: one.waited_s, default=None) or _stalled_longest(same) or newcomer
        longest.abort("address")
        return longest is not newcomer

    def remove(self, connection: "BoundedProtocol") -> None:
        self.open.discard(connection)
        self._requestless.pop(connection, None)
        same = self._by_address.get(connection.counted_as or "")
        if same is not None:
            same.discard(connection)
            if not same:
                del self._by_address[connection.counted_as or ""]
        if not self.open:
            self.nobody.set()

    def wait_for_request(self, connection: "BoundedProtocol") -> None:
        self._requestless[connection] = None

    def has_request(self, connection: "BoundedProtocol") -> None:
        self._requestless.pop(connection, None)

    def sweep(self, now_s: float) -> None:
        for connection in list(self.open):
            reason = connection.overdue(now_s)
            if reason is not None:
                connection.abort(reason)


def _stalled_longest(connections: Iterable["BoundedProtocol"]) -> "BoundedProtocol | None":
    """The one whose client has neither sent nor read for longest, if that is long enough."""
    longest = max(connections, key=lambda one: one.stalled_s)
    return longest if longest.stalled_s >= STALLED_EVICTED_AFTER_S else None


class BoundedProtocol(HttpToolsProtocol):
    """One connection. uvicorn parses and answers; this class enforces the limits of time and size."""

    def __init__(
        self, connections: Connections, config: Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._book = connections
        self._limits = connections.limits
        self._waiting: Waiting = "first_byte"
        self._since_s = self.loop.time()
        self._header_bytes = 0
        self._unsent: tuple[float, int] | None = None  # since when, and how many bytes then
        self.counted_as: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._writes = JoinedWrites(transport, self.loop)
        self.transport = cast("asyncio.Transport", self._writes)
        self._book.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._book.remove(self)
        super().connection_lost(exc)

    def abort(self, reason: CloseReason) -> None:
        """Close the connection at once; unsent data is dropped."""
        self._book.note_close(reason)
        self._book.remove(self)
        self.transport.abort()

    @property
    def body_missing_s(self) -> float:
        """How long the app has been waiting for the next piece of the request's body; 0 if it is not waiting."""
        is_missing = self._waiting == "body" and not self.flow.read_paused
        return self.loop.time() - self._since_s if is_missing else 0.0

    @property
    def waited_s(self) -> float:
        """How long the connection has been in its state."""
        return self.loop.time() - self._since_s

    @property
    def stalled_s(self) -> float:
        """How long the client has kept the server waiting: with the rest of its body, or by not reading its answer."""
        return max(self.body_missing_s, self._answer_unread_s)

    @property
    def _answer_unread_s(self) -> float:
        """How long the client has taken too little of a waiting answer, to the second: the sweep looks at it."""
        if self._unsent is None:
            return 0.0
        since_s, at_first_bytes = self._unsent
        waited_s = self.loop.time() - since_s
        taken_bytes = at_first_bytes - self._unsent_bytes()
        return waited_s if taken_bytes < WRITE_MIN_BYTES_PER_S * waited_s else 0.0

    def _unsent_bytes(self) -> int:
        """0 once the kernel has all of the answer; before, with what it holds that the client has not acknowledged: it
        takes more only when a good part of its buffer is free, which for a slow client is a long time.
        """
        waiting_bytes = self.transport.get_write_buffer_size()
        if waiting_bytes == 0:
            return 0
        held = array("i", [0])
        try:
            fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, held)  # tcp(7), SIOCOUTQ
        except OSError:
            return waiting_bytes  # not Linux
        return waiting_bytes + held[0]

    def overdue(self, now_s: float) -> CloseReason | None:
        """The limit that has been exceeded, or None. To be called regularly."""
        if self._is_read_too_slowly(now_s):
            return "write"
        waited_s = now_s - self._since_s
        match self._waiting:
            case "first_byte":
                return "first_byte" if waited_s > self._limits.first_byte_timeout_s else None
            case "idle":
                return "idle" if waited_s > self._limits.keep_alive_timeout_s else None
            case "headers":
                return "headers" if waited_s > self._limits.header_timeout_s else None
            case "body":
                if self.flow.read_paused:  # the app has not read what arrived: the client is not to blame
                    self._since_s = now_s
                    return None
                return "body" if waited_s > self._limits.body_idle_timeout_s else None
            case "nothing":
                self._become_idle_once_sent()
                return None

    def _is_read_too_slowly(self, now_s: float) -> bool:
        unsent_bytes = self._unsent_bytes()
        if unsent_bytes == 0:
            self._unsent = None
            return False
        if self._unsent is None:
            self._unsent = (now_s, unsent_bytes)
            return False
        since_s, at_first_bytes = self._unsent
        if now_s - since_s <= self._limits.write_timeout_s:
            return False
        enough = at_first_bytes - unsent_bytes >= WRITE_MIN_BYTES_PER_S * (now_s - since_s)
        self._unsent = (now_s, unsent_bytes)
        return not enough

    def resume_writing(self) -> None:
        # The buffer is nearly empty, so the client made progress; it may be full again before the next sweep.
        self._unsent = None
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._waiting == "headers" and not self.transport.is_closing():
            self._header_bytes += len(data)
            if self._header_bytes > HEADERS_MAX_BYTES:
                self._refuse_headers()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._wait_for("headers")
        self._header_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if len(self.headers) > HEADERS_MAX:
            raise _HeadersTooLargeError

    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > HEADERS_MAX_BYTES or len(self.pipeline) >= PIPELINED_MAX:
            raise _HeadersTooLargeError
        self._wait_for("body")
        self._book.has_request(self)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._since_s = self.loop.time()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._wait_for("nothing")
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._writes.flush()
        if self._waiting == "body" and not self.pipeline:
            # The answer is complete but the body is not. Nothing would read the rest, which precedes the next request.
            self.transport.close()
        super().on_response_complete()
        self._unset_keepalive_if_required()  # the sweep closes idle connections, after the answer was sent
        self._become_idle_once_sent()

    def _become_idle_once_sent(self) -> None:
        is_answered = self.cycle.response_complete and not self.pipeline
        if self._waiting == "nothing" and is_answered and self.transport.get_write_buffer_size() == 0:
            self._wait_for("idle")
            self._book.wait_for_request(self)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's signature
        """Uvicorn calls this for every request that the parser refuses, including those that this class refuses."""
        answering = cast("RequestResponseCycle | None", self.cycle)
        if answering is not None and not answering.response_complete:
            self.transport.abort()  # an error cannot be sent in the middle of another request's answer
        elif len(self.headers or ()) > HEADERS_MAX or (self._waiting == "headers" and self._is_too_large()):
            self._refuse_headers()
        else:
            self._say_and_close(b"400 Bad Request", _MALFORMED)

    def _is_too_large(self) -> bool:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > HEADERS_MAX_BYTES

    def _refuse_headers(self) -> None:
        self._book.note_close("too_large")
        self._say_and_close(b"431 Request Header Fields Too Large", _HEADERS_TOO_LARGE)

    def _say_and_close(self, status: bytes, problem: bytes) -> None:
        head = b"HTTP/1.1 %b\r\ncontent-type: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(head % (status, PROBLEM_MEDIA_TYPE.encode(), len(problem)) + problem)
        self.transport.close()

    def _wait_for(self, what: Waiting) -> None:
        self._waiting = what
        self._since_s = self.loop.time()


class HttpServer:
    """Serves an app on a listening socket, in the running event loop. The caller runs the app's lifespan."""

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        limits: ConnectionLimits,
        *,
        note_close: Callable[[CloseReason], None] = lambda _: None,
        count_as: CountAs = _not_counted,
    ) -> None:
        """`note_close` is called for every connection that exceeded a limit."""
        self.connections = Connections(limits, note_close, count_as)
        self._listener = listener
        self._config = Config(
            cast("Any", in_pieces(app)),
            interface="asgi3",
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=cast("int", limits.keep_alive_timeout_s),
        )
        self._config.load()
        self._state = ServerState()

    async def serve(self, stop: asyncio.Event, *, drain_s: float) -> bool:
        """Serve until `stop` is set: then the listener closes, and requests in progress are answered within
        `drain_s`. Returns whether all of them were.
        """
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._make_protocol, sock=self._listener, backlog=BACKLOG)
        clock = asyncio.create_task(self._keep_time())
        try:
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({stopping, clock}, return_when=asyncio.FIRST_COMPLETED)
            if clock.done():
                stopping.cancel()
                clock.result()  # raises: the server does not run without its limits
            server.close()
            return await self._drain(drain_s)
        finally:
            server.close()
            clock.cancel()
            for connection in list(self.connections.open):
                connection.transport.abort()
            for task in list(self._state.tasks):
                task.cancel()
            await asyncio.gather(*self._state.tasks, return_exceptions=True)

    def _make_protocol(self) -> BoundedProtocol:
        return BoundedProtocol(self.connections, self._config, self._state, {})

    async def _drain(self, within_s: float) -> bool:
        for connection in list(self.connections.open):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self.connections.nobody.wait()
                if self._state.tasks:
                    await asyncio.wait(self._state.tasks)
        return not self.connections.open and not self._state.tasks

    async def _keep_time(self) -> None:
        """Update the `Date` of answers (RFC 9110, 6.6.1) and check the connections' limits."""
        loop = asyncio.get_running_loop()
        date_is_due_s = 0.0
        while True:
            now_s = loop.time()
            if now_s >= date_is_due_s:
                self._state.default_headers = [(b"date", email.utils.formatdate(time.time(), usegmt=True).encode())]
                date_is_due_s = now_s + _TICK_S
            self.connections.sweep(now_s)
            await asyncio.sleep(self.connections.limits.sweep_interval_s)
