"""Where log lines leave the process: a line that cannot be written is counted and dropped, and nothing raises.

What reports a fault must not become one. A full disk, a closed pipe or a reader that has stopped reading costs lines,
never the work that they are about. A writer that would block gets a short while once, and none until it takes lines
again.
"""

import errno
import os
import select
import sys
from typing import Any, Final, TextIO

BLOCKED_WAIT_MS: Final = 100
"""How long one line waits for a reader that is behind. The next ones do not wait."""
_PIECE_BYTES: Final = 4096
"""A pipe that polls as writable takes so much without blocking (PIPE_BUF, pipe(7))."""


class _Lost:
    lines = 0


def lost_lines() -> int:
    """How many log lines of this process could not be written, or not in full."""
    return _Lost.lines


def count_lost_line() -> None:
    _Lost.lines += 1


class LogOutput:
    """Writes whole lines to a file descriptor. Has the methods that structlog asks of a logger."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._is_cut = False
        """The last line was written in part: the next begins on a new one."""
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
        # Structlog calls the logger's method of the level's name; whatever the level, the line is written.
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
        # A stream that a test or a host has put there.
        return LogOutput(2)
