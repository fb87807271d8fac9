"""The socket that a service listens on, and how many connections it may take."""

import resource
import socket

BACKLOG = 2048
DESCRIPTORS_KEPT_BACK = 500
"""Descriptors reserved for everything but clients: connections to the database, Redis and other services, and files."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket that is not shared with other processes. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol given, asyncio sees that it is TCP and switches Nagle's algorithm off.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def connections_that_fit(wanted: int) -> int:
    """`wanted`, or fewer if the process may not open as many files (`ulimit -n`)."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, max(descriptors // 2, descriptors - DESCRIPTORS_KEPT_BACK)))
