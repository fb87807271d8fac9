"""One call to a receiver: bounded in time and in what is read, and only to an address that the policy allows.

The address is checked in `_GuardedSockets`, which makes each socket just before it connects: an earlier lookup of
the name proves nothing. No redirect is followed, no proxy of the environment is used, and no cookie is kept.
"""

import asyncio
import errno
import socket
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from ipaddress import ip_address
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from broadsheet_subscriptions.webhooks.endpoints.endpoint import ENDPOINTS_MAX
from broadsheet_subscriptions.webhooks.sending.answer import ANSWER_READ_BYTES_MAX, Answer, Answered, NotAnswered
from broadsheet_subscriptions.webhooks.sending.target import TargetPolicy

KEPT_CONNECTION_S: Final = 2.0
"""A connection idle for longer is not used again: servers often close theirs after about five seconds."""
_HEADER_BYTES_MAX: Final = 8_190
_RETRY_AFTER_DIGITS_MAX: Final = 9

AddrInfo = tuple[Any, Any, int, str, tuple[Any, ...]]
Lookup = Callable[[str, int], list[AddrInfo]]
"""Has the signature of `socket.getaddrinfo`, for TCP; it blocks."""


class AddressRefusedError(OSError):
    """Webhooks may not call this address. The message is always the same, so that it does not reveal the address."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "the address is not public")


class _GuardedSockets:
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


class _Resolver(AbstractResolver):
    """Resolves names with the system's resolver, which blocks, in threads of its own, with one lookup per name at a
    time.

    So a name whose server does not answer occupies one thread however often it is called, and does not delay
    other names.
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(max_workers=ENDPOINTS_MAX, thread_name_prefix="webhook-names")
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


class EndpointCaller:
    """Calls receivers over one pool of connections, which exists while the caller is `opened`.

    `timeout_s` bounds a call up to its status, and then again the reading of the body's beginning. `ssl_context`
    None: the system's certificates, names verified. The number of calls at once is not bounded here, but by the
    sender.
    """

    def __init__(
        self,
        policy: TargetPolicy,
        *,
        timeout_s: float,
        lookup: Lookup = look_up,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._policy = policy
        self._timeout_s = timeout_s
        self._lookup = lookup
        self._ssl_context = ssl_context
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator["EndpointCaller"]:
        resolver = _Resolver(self._lookup)
        connector = aiohttp.TCPConnector(
            limit=0,
            ssl=True if self._ssl_context is None else self._ssl_context,
            use_dns_cache=False,
            keepalive_timeout=KEPT_CONNECTION_S,
            resolver=resolver,
            socket_factory=_GuardedSockets(self._policy),
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
            ) as self._session:
                yield self
        finally:
            self._session = None
            await resolver.close()

    async def call(self, url: URL, *, headers: Mapping[str, str], body: bytes) -> tuple[Answer, int]:
        """The answer, and how long it took in milliseconds. Never raises, whatever the receiver does."""
        began = time.monotonic()
        answer = await self._call(url, headers, body)
        return answer, round((time.monotonic() - began) * 1000)

    async def _call(self, url: URL, headers: Mapping[str, str], body: bytes) -> Answer:
        if self._session is None:
            raise RuntimeError("calls are made while the caller is open")
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._session.post(url, data=body, headers=headers, allow_redirects=False)
        except TimeoutError:
            return NotAnswered("timed_out")
        except aiohttp.ClientConnectorDNSError:
            return NotAnswered("name_not_found")
        except aiohttp.ClientSSLError:
            return NotAnswered("tls_failed")
        except aiohttp.ClientConnectorError as error:
            return NotAnswered(
                "address_refused" if isinstance(error.os_error, AddressRefusedError) else "not_connected"
            )
        except aiohttp.InvalidURL:
            return NotAnswered("url_refused")
        except (aiohttp.ClientError, OSError):
            return NotAnswered("answer_unreadable")
        try:
            return Answered(
                status=response.status,
                body=await self._read_beginning(response),
                retry_after_s=_seconds(response.headers.get("Retry-After", "")),
            )
        finally:
            response.close()

    async def _read_beginning(self, response: aiohttp.ClientResponse) -> bytes:
        """The status was received already, so a body that is late or breaks off does not change the result."""
        received = bytearray()
        try:
            async with asyncio.timeout(self._timeout_s):
                while len(received) < ANSWER_READ_BYTES_MAX and not response.content.at_eof():
                    received += await response.content.read(ANSWER_READ_BYTES_MAX - len(received))
        except (TimeoutError, aiohttp.ClientError, OSError):
            pass
        else:
            if response.content.at_eof():
                response.release()
        return bytes(received)


def _seconds(text: str) -> float | None:
    """`Retry-After` as a number of seconds. A date is not honoured, since the two clocks may differ."""
    return float(text) if text.isascii() and text.isdigit() and len(text) <= _RETRY_AFTER_DIGITS_MAX else None


def open_caller(
    policy: TargetPolicy,
    *,
    timeout_s: float,
    lookup: Lookup = look_up,
    ssl_context: ssl.SSLContext | None = None,
) -> AbstractAsyncContextManager[EndpointCaller]:
    """A caller, open for as long as the context lasts."""
    return EndpointCaller(policy, timeout_s=timeout_s, lookup=lookup, ssl_context=ssl_context).opened()
