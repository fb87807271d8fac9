"""Loopback ports: the wanted one when it is free, else a free one outside the kernel's ephemeral range.

Ephemeral ports (32768 up on Linux, 49152 up on macOS) are left alone: a process that restarts on its port
could find that an outgoing connection has taken it meanwhile.
"""

import random
import socket

from broadsheet_local.errors import LaunchError

LOOPBACK = "127.0.0.1"
SCAN_FIRST = 18_100
SCAN_LAST = 32_000
CONNECT_TIMEOUT_S = 0.2


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now.

    Both looks are needed: SO_REUSEADDR passes over connections in TIME_WAIT, but on macOS it would also pass
    over a server on all interfaces, which answers a connection.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as caller:
        caller.settimeout(CONNECT_TIMEOUT_S)
        if caller.connect_ex((LOOPBACK, port)) == 0:
            return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
            listener.listen(1)
        except OSError:
            return False
    return True


class PortChooser:
    """Hands out ports that are free and that it has not handed out before."""

    def __init__(self) -> None:
        self._given: set[int] = set()
        # Two set-ups starting at the same moment begin their scan in different places.
        self._next = random.SystemRandom().randrange(SCAN_FIRST, SCAN_LAST)

    def required(self, port: int, *, option: str) -> int:
        """The port somebody asked for by name; LaunchError when it is in use."""
        if port in self._given or not is_free(port):
            raise LaunchError(f"port {port} ({option}) is in use: stop what listens there or choose another port")
        self._given.add(port)
        return port

    def preferred(self, port: int) -> int:
        """The default port, or a free one when the default is taken."""
        if port in self._given or not is_free(port):
            return self.any_free()
        self._given.add(port)
        return port

    def any_free(self) -> int:
        for _ in range(SCAN_LAST - SCAN_FIRST):
            port = self._next
            self._next = self._next + 1 if self._next + 1 < SCAN_LAST else SCAN_FIRST
            if port not in self._given and is_free(port):
                self._given.add(port)
                return port
        raise LaunchError(f"no free port between {SCAN_FIRST} and {SCAN_LAST} on {LOOPBACK}")
