"""Loopback ports: the wanted one when it is free, else a free one outside the kernel's ephemeral range.

Ephemeral ports (32768 up on Linux, 49152 up on macOS) are left alone: a process that restarts on its port could
find that an outgoing connection has taken it meanwhile.

A server listens only seconds after its port was chosen. Meanwhile another launcher would find the port free, or
its check (a short listen) would make the server's own listen fail. So a port is held from the moment it is
chosen, and a port that is held is not even checked.
"""

import random
import socket
import weakref
from typing import Self

from broadsheet_local.errors import LaunchError

LOOPBACK = "127.0.0.1"
SCAN_FIRST = 18_100
SCAN_LAST = 32_000
CONNECT_TIMEOUT_S = 0.2


class HeldPort:
    """A port that no other launcher will choose until `release`, or until this object or its process is gone.

    The token is the port's UDP twin, bound: no service uses it, and the kernel takes it back when we end.
    """

    def __init__(self, number: int, token: socket.socket) -> None:
        self.number = number
        self.release = weakref.finalize(self, token.close)

    @classmethod
    def take(cls, number: int) -> Self | None:
        """Hold this port, whether or not a server listens on it; None when somebody holds it."""
        token = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            token.bind((LOOPBACK, number))
        except OSError:
            token.close()
            return None
        return cls(number, token)

    @classmethod
    def take_free(cls, number: int) -> Self | None:
        """Hold this port if nobody holds it and no server listens on it."""
        held = cls.take(number)
        if held is not None and not is_free(number):
            held.release()
            return None
        return held


def hold_free_port() -> HeldPort:
    """A port that nobody holds or listens on; the scan starts in a random place."""
    size = SCAN_LAST - SCAN_FIRST
    first = random.SystemRandom().randrange(size)
    for step in range(size):
        held = HeldPort.take_free(SCAN_FIRST + (first + step) % size)
        if held is not None:
            return held
    raise LaunchError(f"no free port between {SCAN_FIRST} and {SCAN_LAST} on {LOOPBACK}")


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now.

    Both checks are needed: SO_REUSEADDR ignores connections in TIME_WAIT, but on macOS it would also ignore a
    server on all interfaces, which answers a connection.
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
    """Hands out free ports and holds them against other launchers until `close`."""

    def __init__(self) -> None:
        self._held: dict[int, HeldPort] = {}

    def required(self, port: int, *, option: str) -> int:
        """The port that an option names; LaunchError when it is in use."""
        if port in self._held or not is_free(port):
            raise LaunchError(f"port {port} ({option}) is in use: stop what listens there or choose another port")
        # Even if another launcher holds it, no server listens on it: that is no reason to refuse.
        held = HeldPort.take(port)
        return port if held is None else self._keep(held)

    def preferred(self, port: int) -> int:
        """The default port, or a free one when the default is taken."""
        return self._keep(HeldPort.take_free(port) or hold_free_port())

    def any_free(self) -> int:
        return self._keep(hold_free_port())

    def close(self) -> None:
        while self._held:
            self._held.popitem()[1].release()

    def _keep(self, held: HeldPort) -> int:
        self._held[held.number] = held
        return held.number
