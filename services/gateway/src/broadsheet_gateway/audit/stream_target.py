"""Where the audit log is streamed to: `AUDIT_STREAM`, pure."""

from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

SYSLOG_PORT: Final = 514


class FileTarget(msgspec.Struct, frozen=True):
    path: str


class SyslogTarget(msgspec.Struct, frozen=True):
    """RFC 5424 over UDP, TCP, or a local socket at `path`."""

    transport: Literal["udp", "tcp", "unix"]
    host: str = ""
    port: int = SYSLOG_PORT
    path: str = ""


StreamTarget = FileTarget | SyslogTarget


def parse_stream_target(text: str) -> StreamTarget:
    """`file:/path`, `syslog://host:port` (UDP), `syslog+tcp://host:port` or `syslog:///dev/log`.

    Raises:
        ValueError: it is none of these.
    """
    parts = urlsplit(text)
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("it has no user, query or fragment")
    port = parts.port or SYSLOG_PORT
    match parts.scheme:
        case "file" if not parts.netloc and parts.path.startswith("/") and not parts.path.endswith("/"):
            return FileTarget(parts.path)
        case "syslog" if parts.hostname is None and parts.path.startswith("/"):
            return SyslogTarget("unix", path=parts.path)
        case "syslog" if parts.hostname is not None and not parts.path:
            return SyslogTarget("udp", parts.hostname, port)
        case "syslog+tcp" if parts.hostname is not None and not parts.path:
            return SyslogTarget("tcp", parts.hostname, port)
        case _:
            raise ValueError(
                "it is file:/path, syslog://host:port (UDP), syslog+tcp://host:port or syslog:///path of a socket"
            )
