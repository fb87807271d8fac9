"""Requests to a service over pooled connections, with aiohttp."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import aiohttp
from yarl import URL

from broadsheet_gateway.forwarding.transport import SentRequest, TransportError

CONNECT_TIMEOUT_S: Final = 3.0
UPSTREAM_IDLE_S: Final = 1.0
"""A connection idle for longer is not reused. Shorter than the time a service announces its stop (DRAIN_NOTICE_S),
so that no request is sent on a connection just as it is closed.
"""
_DNS_CACHE_S: Final = 10
_UNSENT_ERRORS: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""Every other error may come after the request: nothing else counts as never sent. (Of a `GET` or `HEAD` that aiohttp
sent again, it is the second try that was not.)
"""
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


class _BrokenOffError(aiohttp.ClientError):
    """A connection that broke before the answer began. The service may have done what was asked."""


async def _never_again(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """By itself aiohttp sends an idempotent request once more when its connection breaks off. A `DELETE` that was
    carried out would then be answered as one of something that is not there. A `GET` or `HEAD` may be sent again.
    """
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _BrokenOffError(str(error)) from error


_UNLESS_SAFE: Final = (_never_again,)


class AiohttpTransport:
    """Connections are made at the first request; none goes through a proxy, no redirect is followed, and no cookie is
    kept.
    """

    def __init__(self, base_url: str, *, connections_max: int, place_timeout_s: float, timeout_s: float) -> None:
        """`place_timeout_s`: the longest wait for one of the `connections_max`."""
        self._base_url = base_url
        self._connections_max = connections_max
        self._place_timeout_s = min(timeout_s, place_timeout_s)
        self._connect_timeout_s = min(timeout_s, CONNECT_TIMEOUT_S)
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: SentRequest) -> "AiohttpAnswer":
        session = self._session or self._open_session()
        with _as_transport_errors():
            response = await session.request(
                request.method,
                URL(self._base_url + request.target, encoded=True),
                headers=request.headers,
                data=request.body or None,
                allow_redirects=False,
                timeout=self._timeout(request.silence_max_s),
                middlewares=None if request.method in _SAFE_METHODS else _UNLESS_SAFE,
            )
        return AiohttpAnswer(response)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._connections_max, keepalive_timeout=UPSTREAM_IDLE_S, ttl_dns_cache=_DNS_CACHE_S
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            # The client's headers say what it sends and takes, not this library.
            skip_auto_headers=("User-Agent", "Content-Type"),
            auto_decompress=False,
        )
        return self._session

    def _timeout(self, silence_max_s: float) -> aiohttp.ClientTimeout:
        """One object for each of the few values: making one costs more than finding it."""
        known = self._timeouts.get(silence_max_s)
        if known is None:
            known = self._timeouts[silence_max_s] = aiohttp.ClientTimeout(
                total=None,
                connect=self._place_timeout_s,
                sock_connect=self._connect_timeout_s,
                sock_read=silence_max_s,
            )
        return known


class AiohttpAnswer:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers = [(name.lower(), value) for name, value in response.raw_headers]

    async def pieces(self) -> AsyncIterator[bytes]:
        with _as_transport_errors():
            async for piece in self._response.content.iter_any():
                yield piece

    async def read(self) -> bytes:
        with _as_transport_errors():
            return await self._response.content.read()

    async def aclose(self) -> None:
        """The connection is kept for the next request if the answer has ended, and closed otherwise."""
        self._response.release()
        # Waits until the body's source is closed. An error of it is no news: the answer is there, or broke off before.
        with suppress(aiohttp.ClientError, OSError):
            await self._response.wait_for_close()


@contextmanager
def _as_transport_errors() -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, TimeoutError) as error:
        was_never_sent = isinstance(error, _UNSENT_ERRORS)
        # Not even a connection means that the service is away, not slow.
        is_timeout = isinstance(error, TimeoutError) and not was_never_sent
        seen = error.__cause__ if isinstance(error, _BrokenOffError) else error
        raise TransportError(type(seen).__name__, was_never_sent=was_never_sent, is_timeout=is_timeout) from error
