"""Connections to Postmark that look at the clock before each write to the kernel, and hold a request's end back.

asyncio and uvloop keep what the kernel does not take yet, and write it whenever it does: a process that was stopped
meanwhile (SIGSTOP, a suspended machine) would complete a request whose call others have taken over. So while a request
is written (`request_body.writing`), its bytes, encrypted or not, go to the socket here and are kept nowhere.

The kernel has a queue as well, which it sends on its own: while a receiver lets no more in, for as long as the
connection lasts, and even after the process has ended. So a request's end is not handed over before that queue has
nothing unsent, and the kernel is told to give the connection up when the call's time is over (`TCP_USER_TIMEOUT`,
tcp(7); RFC 5482).
"""

import asyncio
import fcntl
import os
import select
import socket
import ssl
import struct
import sys
import termios
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import anyio
import httpcore
import httpx
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from httpcore._backends.anyio import AnyIOStream

from broadsheet_delivery.postmark.request_body import WritingCall, call_being_written

_SIOCOUTQNSD: Final = 0x894B
"""linux/sockios.h: bytes of the queue that were not sent yet. (SIOCOUTQ, in tcp(7), counts the unacknowledged too.)"""
_SO_NWRITE: Final = 0x1024
"""sys/socket.h of macOS: bytes in the send buffer."""
_LOOK_S: Final = 0.001
_LOOK_MAX_S: Final = 0.02
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class WatchedTransport(httpx.AsyncHTTPTransport):
    """httpx's own transport over watched connections: HTTP/1.1, straight to the host, no retries."""

    def __init__(self, *, limits: httpx.Limits, verify: ssl.SSLContext | bool = True) -> None:
        ssl_context = httpx.create_ssl_context(verify=verify, trust_env=False)
        super().__init__(verify=ssl_context, trust_env=False, limits=limits)
        # httpx has no argument for the network backend; httpcore, which it hands everything to, has.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            http1=True,
            http2=False,
            network_backend=_WatchedBackend(),
        )


class _WatchedBackend(httpcore.AnyIOBackend):
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        opened = await super().connect_tcp(host, port, timeout, local_address, socket_options)
        assert isinstance(opened, AnyIOStream)
        assert isinstance(opened._stream, SocketStream)  # noqa: SLF001
        # TLS, where there is any, is laid over this stream: what it encrypts is watched too.
        opened._stream = WatchedStream(opened._stream)  # noqa: SLF001
        return opened


class WatchedStream(ByteStream):
    """A TCP stream that writes the request of a `WritingCall` itself, and leaves the rest to `stream`."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        raw = stream.extra(SocketAttribute.raw_socket)  # noqa: S610  # anyio's, not Django's
        # A second descriptor of the same socket: the loop lets nobody wait for a transport's own.
        self._socket = socket.socket(raw.family, raw.type, raw.proto, fileno=os.dup(raw.fileno()))
        self._socket.setblocking(False)
        self._call: WritingCall | None = None
        self._incomplete = False

    async def receive(self, max_bytes: int = 65536) -> bytes:
        return await self._stream.receive(max_bytes)

    async def send(self, item: bytes) -> None:
        """Raises TooLateError when the call's time is over, and BrokenResourceError as anyio's streams do."""
        call = call_being_written()
        if call is None:
            await self._stream.send(item)
            return
        try:
            await self._write(item, call)
        except OSError as error:
            raise anyio.BrokenResourceError from error
        # As anyio's own streams: a peer that takes everything at once does not keep others from their turn.
        await asyncio.sleep(0)

    async def _write(self, item: bytes, call: WritingCall) -> None:
        if call is not self._call:
            self._call = call
            self._incomplete = True
            self._bound_kernel(call)
        if call.end_is_next:
            await self._until_nothing_unsent(call)
            self._bound_kernel(call)
        rest = memoryview(item)
        while rest:
            call.left_s()
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                await anyio.wait_writable(self._socket)
        if call.end_is_next:
            self._incomplete = False

    async def _until_nothing_unsent(self, call: WritingCall) -> None:
        """Until everything that was handed to the kernel has gone out once, or the connection is broken."""
        look_s = _LOOK_S
        while unsent_bytes(self._socket) and not _is_broken(self._socket):
            call.left_s()
            await asyncio.sleep(look_s)
            look_s = min(look_s * 2, _LOOK_MAX_S)

    def _bound_kernel(self, call: WritingCall) -> None:
        """The kernel gives up what is not acknowledged, or not let in, by the end of the call's time."""
        if sys.platform == "linux":
            milliseconds = max(1, int(call.left_s() * 1000))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)

    async def aclose(self) -> None:
        if self._incomplete:
            # What the kernel still has of a request that will not be completed is thrown away.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._socket.close()
        await self._stream.aclose()

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return self._stream.extra_attributes


def unsent_bytes(tcp_socket: socket.socket) -> int:
    """Bytes that the kernel has taken and not sent; not acknowledged, where the system does not tell the two apart.

    0 where it tells neither (docs/guarantee.md says what that means).
    """
    if sys.platform == "darwin":
        return tcp_socket.getsockopt(socket.SOL_SOCKET, _SO_NWRITE)
    for request in (_SIOCOUTQNSD, termios.TIOCOUTQ):
        try:
            return int(struct.unpack("i", fcntl.ioctl(tcp_socket.fileno(), request, bytes(4)))[0])
        except OSError:
            continue
    return 0


def _is_broken(tcp_socket: socket.socket) -> bool:
    poll = select.poll()
    poll.register(tcp_socket.fileno(), 0)
    return bool(poll.poll(0))
