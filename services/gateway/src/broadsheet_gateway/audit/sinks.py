"""Places that entries of the audit log are passed on to: a file, syslog, and the process's own log.

A sink takes a batch and returns when the place has it, as far as the place can tell; it raises `OSError` or
`TimeoutError` otherwise, and the batch comes again. So a place may get an entry twice; its number tells.
"""

import asyncio
import os
import socket
from collections.abc import Sequence
from datetime import UTC
from typing import Final, Protocol, assert_never

import structlog

from broadsheet_gateway.audit.entry import Entry, json_line
from broadsheet_gateway.audit.stream_target import FileTarget, StreamTarget, SyslogTarget

SECURITY_KINDS: Final = frozenset({"user", "key", "installation", "audit"})
"""Kinds of targets whose entries are security events, and those below."""
SECURITY_ACTIONS: Final = frozenset(
    {
        "subscriber.exported", "subscriber.erased", "subscribers.exported",
        "webhook_endpoint.created", "webhook_endpoint.changed", "webhook_endpoint.secret_rotated",
    }
)  # fmt: skip
SEND_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 2.0
_PRIORITY: Final = 13 * 8 + 6
"""Facility 13 (log audit), severity 6 (informational)."""

_log = structlog.get_logger()


class Sink(Protocol):
    async def write(self, entries: Sequence[Entry]) -> None: ...


def create_sink(target: StreamTarget) -> Sink:
    match target:
        case FileTarget(path):
            return FileSink(path)
        case SyslogTarget():
            return SyslogSink(target)
        case _:
            assert_never(target)


class LogSink:
    """Security events as structured lines of the log: who, what, from where."""

    async def write(self, entries: Sequence[Entry]) -> None:
        for one in entries:
            if one.target_kind in SECURITY_KINDS or one.action in SECURITY_ACTIONS:
                _log.info(
                    "security.audited",
                    number=one.number,
                    at=one.at.astimezone(UTC).isoformat(),
                    by_service=one.service,
                    action=one.action,
                    actor=one.actor,
                    person=one.person,
                    source=one.source,
                    target_kind=one.target_kind,
                    target_id=one.target_id,
                    of_trace_id=one.trace_id,
                )


class FileSink:
    """A JSON object a line. The file is opened for each batch, so that one that was moved away is left alone."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def write(self, entries: Sequence[Entry]) -> None:
        await asyncio.to_thread(self._append, b"".join(json_line(one) + b"\n" for one in entries))

    def _append(self, lines: bytes) -> None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            if size := file.seek(0, os.SEEK_END):
                file.seek(size - 1)
                if file.read(1) != b"\n":
                    # A process died while it wrote: its last line is cut off, and comes whole again.
                    lines = b"\n" + lines
            rest = memoryview(lines)
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())


class SyslogSink:
    """RFC 5424, an entry a message: over TCP with its length before it (RFC 6587), else a datagram each. Of datagrams
    nobody says whether they arrived.
    """

    def __init__(self, target: SyslogTarget) -> None:
        self._target = target
        self._host = socket.gethostname() or "-"

    async def write(self, entries: Sequence[Entry]) -> None:
        messages = [self._message(one) for one in entries]
        async with asyncio.timeout(SEND_TIMEOUT_S):
            if self._target.transport == "tcp":
                await self._send_stream(messages)
            else:
                await self._send_datagrams(messages)

    def _message(self, one: Entry) -> bytes:
        at = one.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        header = f"<{_PRIORITY}>1 {at} {self._host} broadsheet {os.getpid()} audit - "
        return header.encode("ascii", "replace") + json_line(one)

    async def _send_stream(self, messages: Sequence[bytes]) -> None:
        reader, writer = await asyncio.open_connection(self._target.host, self._target.port)
        try:
            for message in messages:
                writer.write(b"%d %s" % (len(message), message))
                await writer.drain()
            writer.write_eof()
            try:
                # A receiver that has read all closes; one that has not, and breaks off, is noticed here.
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await reader.read()
            except TimeoutError:
                _log.info("audit.syslog_stays_open")
        finally:
            writer.close()

    async def _send_datagrams(self, messages: Sequence[bytes]) -> None:
        loop = asyncio.get_running_loop()
        if self._target.transport == "unix":
            family, address = socket.AF_UNIX, self._target.path
            connection = socket.socket(family, socket.SOCK_DGRAM)
            resolved: object = address
        else:
            [found, *_] = await loop.getaddrinfo(self._target.host, self._target.port, type=socket.SOCK_DGRAM)
            connection = socket.socket(found[0], socket.SOCK_DGRAM)
            resolved = found[4]
        with connection:
            connection.setblocking(False)
            await loop.sock_connect(connection, resolved)  # type: ignore[arg-type]  # a path for a local socket
            for message in messages:
                await loop.sock_sendall(connection, message)
