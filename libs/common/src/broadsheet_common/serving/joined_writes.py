"""Sends what is written to a connection in one piece where it can.

uvicorn writes an answer's headers and its body separately, and uvloop sends each at once. So each answer would cost two
calls of the system, and wake its reader twice.
"""

import asyncio
from typing import Any, Final

JOINED_MAX_BYTES: Final = 64 * 1024
"""So much is not kept back: what has this size already is sent as it comes (`answer_in_pieces`)."""


class JoinedWrites:
    """The part of a transport that a server uses. What is written is sent when the event loop comes round, or at
    `flush`.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._kept: list[bytes] = []
        self._kept_bytes = 0

    def write(self, data: bytes) -> None:
        if not self._kept:
            self._loop.call_soon(self.flush)
        self._kept.append(data)
        self._kept_bytes += len(data)
        if self._kept_bytes >= JOINED_MAX_BYTES:
            self.flush()

    def flush(self) -> None:
        if not self._kept:
            return
        kept, self._kept, self._kept_bytes = self._kept, [], 0
        if not self._transport.is_closing():
            self._transport.write(kept[0] if len(kept) == 1 else b"".join(kept))

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """What was not sent is dropped."""
        self._kept, self._kept_bytes = [], 0
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_extra_info(self, name: str) -> Any:
        return self._transport.get_extra_info(name)

    def get_write_buffer_size(self) -> int:
        return self._kept_bytes + self._transport.get_write_buffer_size()
