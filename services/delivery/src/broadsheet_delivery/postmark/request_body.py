"""A request body whose end is held back, so that a process that was stopped cannot complete the request too late.

A sender may be stopped at any instruction (SIGSTOP, a suspended machine) and continue after others have taken
over its work. What it had written may be in a buffer that empties without asking it. So the last bytes of a body
are sent separately, after everything before them has left, and after one more check of the clock; without them
the request is incomplete (`Content-Length`, RFC 9112 section 6.3), and Postmark accepts nothing of it.

The body marks its end; `watched_connection` checks the clock before each write to the kernel.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import httpx

_PIECE_BYTES: Final = 256 * 1024


class TooLateError(Exception):
    """The call's time ran out before its request was complete."""


class WritingCall:
    """A call whose request is being written. `until_s` is on the clock `clock_s`; nothing is written from then on."""

    def __init__(self, *, until_s: float, clock_s: Callable[[], float]) -> None:
        self._until_s = until_s
        self._clock_s = clock_s
        self.end_is_next = False
        """The next write completes the request."""

    def left_s(self) -> float:
        """Seconds left for writing, more than 0. Raises TooLateError when there are none."""
        left_s = self._until_s - self._clock_s()
        if left_s <= 0:
            raise TooLateError
        return left_s


_writing: ContextVar[WritingCall | None] = ContextVar("writing", default=None)


@contextmanager
def writing(call: WritingCall) -> Iterator[None]:
    """Whatever this task writes to a watched connection meanwhile is the request of `call`."""
    token = _writing.set(call)
    try:
        yield
    finally:
        _writing.reset(token)


def call_being_written() -> WritingCall | None:
    return _writing.get()


class HeldBody(httpx.AsyncByteStream):
    """`start`, the parts with `separator` between them, and `end`, which is held back until the rest has left.

    It is written in pieces: whole, a batch would be in memory three times over.
    """

    def __init__(
        self, parts: Sequence[bytes], *, end: bytes, call: WritingCall, start: bytes = b"", separator: bytes = b""
    ) -> None:
        self._parts = parts
        self._start = start
        self._separator = separator
        self._end = end
        self._call = call
        self.length_bytes = len(start) + sum(map(len, parts)) + len(separator) * max(0, len(parts) - 1) + len(end)

    def let_go(self) -> None:
        """In httpx a request and its response refer to each other, so a body would stay until the collector's next
        full round: tens of megabytes of mails that were sent long ago.
        """
        self._parts = ()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        piece: list[bytes] = []
        size, before = 0, self._start
        for part in self._parts:
            piece += (before, part)
            size += len(part)
            before = self._separator
            if size >= _PIECE_BYTES:
                self._call.left_s()
                yield b"".join(piece)
                piece, size = [], 0
        if piece:
            self._call.left_s()
            yield b"".join(piece)
        self._call.end_is_next = True
        self._call.left_s()
        yield self._end
