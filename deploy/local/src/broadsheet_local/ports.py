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
HOLD_ATTEMPTS_MAX = 50


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


def any_free_port() -> int:
    """A port that nobody listens on at this moment; the scan starts in a random place."""
    size = SCAN_LAST - SCAN_FIRST
    first = random.SystemRandom().randrange(size)
    for step in range(size):
        port = SCAN_FIRST + (first + step) % size
        if is_free(port):
            return port
    raise LaunchError(f"no free port between {SCAN_FIRST} and {SCAN_LAST} on {LOOPBACK}")


class PortChooser:
    """Hands out free ports and holds them against other launchers until `close`.

    A service listens only seconds after its port was chosen; meanwhile another launcher would find it free. So
    the port's UDP twin, which no service uses, is bound as a token that the kernel takes back when we end.
    """

    def __init__(self) -> None:
        self._held: dict[int, socket.socket] = {}

    def required(self, port: int, *, option: str) -> int:
        """The port somebody asked for by name; LaunchError when it is in use."""
        if port in self._held or not is_free(port):
            raise LaunchError(f"port {port} ({option}) is in use: stop what listens there or choose another port")
        # Should somebody hold the twin, the asked-for port is still free: nothing to refuse.
        self._hold(port)
        return port

    def preferred(self, port: int) -> int:
        """The default port, or a free one when the default is taken."""
        if port not in self._held and is_free(port) and self._hold(port):
            return port
        return self.any_free()

    def any_free(self) -> int:
        for _ in range(HOLD_ATTEMPTS_MAX):
            port = any_free_port()
            if port not in self._held and self._hold(port):
                return port
        raise LaunchError(f"no free port on {LOOPBACK} could be held in {HOLD_ATTEMPTS_MAX} attempts")

    def close(self) -> None:
        while self._held:
            self._held.popitem()[1].close()

    def _hold(self, port: int) -> bool:
        token = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            token.bind((LOOPBACK, port))
        except OSError:
            token.close()
            return False
        self._held[port] = token
        return True
