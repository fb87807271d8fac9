"""Writes log lines: a line that cannot be written is counted and dropped, and nothing raises.

A failure to log must not become a failure of the work. With a full disk, a closed pipe or a reader that has
stopped reading, lines are lost and the work goes on. The first line that would block waits for a short time; the
following ones do not wait until the output takes lines again.
"""

import errno
import os
import select
import sys
from typing import Any, Final, TextIO

BLOCKED_WAIT_MS: Final = 100
"""How long one line waits for a slow reader. The next ones do not wait."""
_PIECE_BYTES: Final = 4096
"""A pipe that polls as writable takes this many bytes without blocking (PIPE_BUF, pipe(7))."""


class _Lost:
    lines = 0


def lost_lines() -> int:
    """The number of log lines of this process that were not written in full."""
    return _Lost.lines


def count_lost_line() -> None:
    _Lost.lines += 1


class LogOutput:
    """Writes whole lines to a file descriptor. Has the methods that structlog requires of a logger."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._is_cut = False
        """The last line was written in part: the next one begins with a newline."""
        self._is_blocked = False
        self._lost_since = 0

    def msg(self, message: str) -> None:
        """Never raises, never blocks for longer than BLOCKED_WAIT_MS."""
        try:
            if self._lost_since and self._write(f'{{"event": "logs.lines_lost", "lines": {self._lost_since}}}\n'):
                self._lost_since = 0
            if self._write(message + "\n"):
                return
        except Exception:  # noqa: BLE001, S110  # there is nowhere left to report it; it is counted below
            pass
        self._lost_since += 1
        count_lost_line()

    def __getattr__(self, name: str) -> Any:
        # Structlog calls the method named after the level; every level is written the same way.
        if name in {"debug", "info", "warning", "error", "critical", "exception", "fatal", "warn", "log", "failure"}:
            return self.msg
        raise AttributeError(name)

    def _write(self, text: str) -> bool:
        data = text.encode("utf-8", "backslashreplace")
        if self._is_cut:
            data = b"\n" + data
        written = 0
        while written < len(data):
            if not self._takes_more():
                break
            try:
                count = os.write(self._fd, data[written : written + _PIECE_BYTES])
            except OSError as error:
                if error.errno in {errno.EINTR, errno.EAGAIN}:
                    continue
                break
            if count == 0:
                break
            written += count
        if written:
            self._is_cut = written < len(data)
        return written == len(data)

    def _takes_more(self) -> bool:
        ready = self._poll.poll(0 if self._is_blocked else BLOCKED_WAIT_MS)
        self._is_blocked = not ready
        return bool(ready)


def open_output(stream: TextIO | None = None) -> LogOutput:
    """Standard error, or another stream that has a file descriptor."""
    stream = stream or sys.stderr
    try:
        return LogOutput(stream.fileno())
    except (OSError, ValueError, AttributeError):
        # A test or a host has replaced the stream with one that has no file descriptor.
        return LogOutput(2)
