"""A TCP proxy on loopback between one process and another, with the ways in which a network fails.

    link = TcpLink(port, target_port)
    await link.start()
    link.sever()      # every open connection is reset
    link.refuse()     # new connections are reset as well, until heal()
    link.stall()      # half-open: bytes are taken and go nowhere, new connections open and get no answer
    link.read_slowly(bytes_a_second)   # what new connections send waits in the sender's buffers; answers pass on
    link.heal(...)    # pass everything on again

`turn_to` leads new connections somewhere else and leaves the open ones alone, as a load balancer does in a deployment.
"""

import asyncio
import contextlib
import socket
import struct

from broadsheet_local.embedded.ports import LOOPBACK

_PIECE_BYTES = 65_536
_SLOW_BUFFER_BYTES = 4096
_FAST_BUFFER_BYTES = 1 << 20
_CONNECT_TIMEOUT_S = 5.0


class TcpLink:
    def __init__(self, port: int, target_port: int) -> None:
        self.port = port
        self.taken_bytes = 0
        """Bytes received from near sides, over all connections."""
        self._bytes_a_second: int | None = None
        self._full_speed = asyncio.Event()
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._refusing = False
        self._flowing = asyncio.Event()
        self._flowing.set()

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.sever()
        self._flowing.set()
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def turn_to(self, target_port: int) -> None:
        self._target_port = target_port

    def sever(self) -> None:
        """Reset every open connection, at both its ends."""
        for writer in list(self._writers):
            _reset(writer)

    def refuse(self) -> None:
        self._refusing = True
        self.sever()

    def stall(self) -> None:
        self._flowing.clear()

    def read_slowly(self, bytes_a_second: int) -> None:
        self._bytes_a_second = bytes_a_second
        self._full_speed.clear()
        # Inherited by connections accepted from now on: an open connection has already advertised its window.
        self._set_receive_buffers(_SLOW_BUFFER_BYTES)

    def heal(self, *, drop_stalled: bool = False) -> None:
        """Pass on again. `drop_stalled`: bytes held meanwhile are lost with their connection, instead of late."""
        if drop_stalled:
            self.sever()
        self._refusing = False
        if self._bytes_a_second is not None:
            self._bytes_a_second = None
            self._set_receive_buffers(_FAST_BUFFER_BYTES)
        self._full_speed.set()
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:
            # Cancelled by stop(), which has nothing else to wait for here; asyncio would print it as an unhandled
            # error.
            _reset(writer)
        finally:
            self._connections.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            _reset(writer)
            return
        self._writers.add(writer)
        far_writer: asyncio.StreamWriter | None = None
        try:
            await self._flowing.wait()
            opening = asyncio.open_connection(LOOPBACK, self._target_port)
            far_reader, opened = await asyncio.wait_for(opening, _CONNECT_TIMEOUT_S)
            far_writer = opened
            self._writers.add(opened)
            pumps = {
                asyncio.create_task(self._pump(reader, opened, from_near=True)),
                asyncio.create_task(self._pump(far_reader, writer)),
            }
            try:
                await asyncio.wait(pumps)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except (OSError, TimeoutError):
            _reset(writer)  # the far side is not there: the near one sees a refusal, as it would without us
        finally:
            for one in (writer, far_writer):
                if one is not None:
                    self._writers.discard(one)
                    one.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_near: bool = False
    ) -> None:
        """One direction, until its end, which is passed on as a half-close."""
        try:
            while piece := await reader.read(self._next_bytes(from_near=from_near)):
                if from_near:
                    self.taken_bytes += len(piece)
                    await self._slow_down(len(piece))
                await self._flowing.wait()
                writer.write(piece)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            _reset(writer)

    def _set_receive_buffers(self, size_bytes: int) -> None:
        assert self._server is not None
        for one in (*self._server.sockets, *(writer.get_extra_info("socket") for writer in self._writers)):
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size_bytes)

    def _next_bytes(self, *, from_near: bool) -> int:
        slowly = self._bytes_a_second if from_near else None
        return _PIECE_BYTES if slowly is None else max(1, slowly // 10)

    async def _slow_down(self, count: int) -> None:
        """Wait as long as `count` bytes take at the link's speed, or until it is healed."""
        if self._bytes_a_second is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._full_speed.wait(), count / self._bytes_a_second)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST: what a peer's crash or a firewall's rule looks like."""
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:  # it is negative once closed
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
