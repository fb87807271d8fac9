"""Connections for calls that people ask for: each socket is made for an address that the policy allows.

The address is checked in `GuardedSockets`, which makes each socket just before it connects: an earlier lookup of
the name proves nothing, because a name can resolve to another address a moment later.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from broadsheet_common.outgoing.target import TargetPolicy

_HEADER_BYTES_MAX: Final = 8_190

AddrInfo = tuple[Any, Any, int, str, tuple[Any, ...]]
Lookup = Callable[[str, int], list[AddrInfo]]
"""Has the signature of `socket.getaddrinfo`, for TCP; it blocks."""


class AddressRefusedError(OSError):
    """Nobody may be called at this address. The message is always the same, so that it does not reveal the address."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "the address is not public")


class GuardedSockets:
    """Makes a connector's sockets, for allowed addresses only."""

    def __init__(self, policy: TargetPolicy) -> None:
        self._policy = policy

    def __call__(self, info: AddrInfo) -> socket.socket:
        family, kind, protocol, _, address = info
        try:
            allowed = self._policy.allows_address(ip_address(address[0]))
        except ValueError:
            allowed = False
        if not allowed:
            raise AddressRefusedError
        return socket.socket(family, kind, protocol)


def look_up(host: str, port: int) -> list[AddrInfo]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)


class ThreadedResolver(AbstractResolver):
    """Resolves names with the system's resolver, which blocks, in threads of its own, with one lookup per name at a
    time.

    So a name whose server does not answer occupies one thread however often it is called, and does not delay
    other names.
    """

    def __init__(self, lookup: Lookup, *, threads_max: int) -> None:
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(max_workers=threads_max, thread_name_prefix="outgoing-names")
        self._under_way: dict[tuple[str, int], asyncio.Future[list[AddrInfo]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        key = (host, port)
        found = self._under_way.get(key)
        if found is None:
            found = asyncio.ensure_future(
                asyncio.get_running_loop().run_in_executor(self._threads, self._lookup, host, port)
            )
            self._under_way[key] = found
            found.add_done_callback(lambda done: self._forget(key, done))
        try:
            infos = await asyncio.shield(found)
        except UnicodeError as error:
            raise socket.gaierror(socket.EAI_NONAME, "not a name that can be looked up") from error
        return [
            ResolveResult(
                hostname=host,
                host=info[4][0],
                port=port,
                family=info[0],
                proto=info[2],
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for info in infos
            if family in {socket.AF_UNSPEC, info[0]}
        ]

    def _forget(self, key: tuple[str, int], done: "asyncio.Future[list[AddrInfo]]") -> None:
        del self._under_way[key]
        if not done.cancelled():
            done.exception()  # the waiter may have been cancelled; do not report the error as unhandled

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


@asynccontextmanager
async def guarded_session(
    policy: TargetPolicy,
    *,
    threads_max: int,
    kept_connection_s: float,
    lookup: Lookup = look_up,
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncGenerator[aiohttp.ClientSession]:
    """A session that keeps no cookie and uses no proxy of the environment. The caller follows no redirect blindly,
    and bounds time, bytes and the number of calls at once.

    `threads_max`: names that are looked up at once. `kept_connection_s`: a connection idle for longer is not used
    again. `ssl_context` None: the system's certificates, names verified.
    """
    resolver = ThreadedResolver(lookup, threads_max=threads_max)
    connector = aiohttp.TCPConnector(
        limit=0,
        ssl=True if ssl_context is None else ssl_context,
        use_dns_cache=False,
        keepalive_timeout=kept_connection_s,
        resolver=resolver,
        socket_factory=GuardedSockets(policy),
    )
    try:
        async with aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            trust_env=False,
            max_line_size=_HEADER_BYTES_MAX,
            max_field_size=_HEADER_BYTES_MAX,
        ) as session:
            yield session
    finally:
        await resolver.close()
