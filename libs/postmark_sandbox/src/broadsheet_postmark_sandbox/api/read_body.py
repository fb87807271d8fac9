"""Read large request bodies without a new allocation for each.

A batch is some 5 MB. Joining its pieces into new memory costs more (page faults, mostly) than decoding it, so
bodies are copied into buffers that are kept and reused. No reference into a buffer may outlive the block.
"""

import codecs
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from litestar import Request

BUFFER_BYTES_STEP: Final = 1024 * 1024
BUFFERS_KEPT_MAX: Final = 4
BUFFER_KEPT_BYTES_MAX: Final = 16 * 1024 * 1024


class BodyTooLargeError(Exception):
    """The body is larger than the route allows; what was read of it is discarded."""


class Body(msgspec.Struct, frozen=True):
    """A body in a buffer. `is_utf8`: whether its text is well-formed UTF-8, as JSON requires (RFC 8259)."""

    view: memoryview
    is_utf8: bool


class BufferPool:
    """A few buffers, each used by one request at a time."""

    def __init__(self) -> None:
        self._free: list[bytearray] = []

    @asynccontextmanager
    async def read(self, request: Request[Any, Any, Any], bytes_max: int) -> AsyncIterator[Body]:
        """Read the whole body of a request; raises BodyTooLargeError."""
        announced = request.headers.get("content-length", "0")
        size_hint = int(announced) if announced.isdigit() else 0
        if size_hint > bytes_max:
            raise BodyTooLargeError
        buffer = self._take(size_hint)
        size = 0
        text = _Utf8Check()
        more = True
        while more:
            message = await request.receive()
            if message["type"] != "http.request":
                # The client disconnected; an incomplete body is treated as empty.
                more, size = False, 0
                continue
            chunk = message["body"]
            more = message["more_body"]
            end = size + len(chunk)
            if end > bytes_max:
                raise BodyTooLargeError
            if end > len(buffer):
                buffer = buffer + bytes(max(end, 2 * len(buffer)) - len(buffer))
            buffer[size:end] = chunk
            size = end
            text.feed(chunk)
        try:
            yield Body(view=memoryview(buffer)[:size], is_utf8=text.finish())
        finally:
            self._give_back(buffer)

    def _take(self, size: int) -> bytearray:
        """The smallest free buffer that is large enough, or a new one rounded up to a step."""
        for place, buffer in enumerate(self._free):
            if len(buffer) >= size:
                return self._free.pop(place)
        return bytearray((size // BUFFER_BYTES_STEP + 1) * BUFFER_BYTES_STEP)

    def _give_back(self, buffer: bytearray) -> None:
        if len(buffer) <= BUFFER_KEPT_BYTES_MAX:
            self._free.append(buffer)
            self._free.sort(key=len)
            # Keep the larger ones: they fit more bodies.
            del self._free[:-BUFFERS_KEPT_MAX]


class _Utf8Check:
    """Checks text piece by piece while it is in the CPU's cache; pure ASCII needs no decoder."""

    def __init__(self) -> None:
        self._decoder: codecs.IncrementalDecoder | None = None
        self._good = True

    def feed(self, chunk: bytes) -> None:
        if not self._good or (self._decoder is None and chunk.isascii()):
            return
        if self._decoder is None:
            self._decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            self._decoder.decode(chunk)
        except UnicodeDecodeError:
            self._good = False

    def finish(self) -> bool:
        if self._good and self._decoder is not None:
            try:
                self._decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                self._good = False
        return self._good
