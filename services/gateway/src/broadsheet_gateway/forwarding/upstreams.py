"""The services behind the gateway: one pooled transport each, and the answers for services that do not answer.

httpx with the aiohttp transport forwards about three times as many requests a second as httpx alone.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

import aiohttp
import httpx
import msgspec
import structlog
from httpx_aiohttp import AiohttpTransport

from broadsheet_common.contracts.identity import IDENTITY_HEADER, Identity, IdentityMinter, ServiceName
from broadsheet_common.event_streams.messages import SILENCE_MAX_S
from broadsheet_common.http.problems import BodyTooLargeError, Problem, ProblemError, UnavailableError
from broadsheet_common.process.tracing import outgoing_headers
from broadsheet_gateway.forwarding.service_guard import PLACE_TIMEOUT_S, GuardedCall, ServiceGuard
from broadsheet_gateway.settings import API_BODY_MAX_BYTES

T = TypeVar("T")

UPSTREAM_ERRORS = (TimeoutError, httpx.TransportError, aiohttp.ClientError)
"""What a request may raise if its service is down, breaks off or does not speak HTTP."""
CONNECT_TIMEOUT_S = 3.0
UPSTREAM_IDLE_S = 1.0
"""A connection idle for longer is not reused. Shorter than the time a service announces its stop (DRAIN_NOTICE_S),
so that no request is sent on a connection just as it is closed.
"""
_PIECE_BYTES = 256 * 1024
JSON_ANSWER_MAX_BYTES = 16 * 1024 * 1024

_log = structlog.get_logger()


class UpstreamTimeoutError(ProblemError):
    slug, title, status = "upstream-timeout", "A service that this needs did not answer in time", 504


class UpstreamRefusalError(Exception):
    """A service answered one of our own calls with an error; `problem` is its problem document."""

    def __init__(self, status: int, problem: Problem, headers: Mapping[str, str]) -> None:
        super().__init__(f"{status} {problem.type}")
        self.status = status
        self.problem = problem
        self.headers = headers

    @property
    def slug(self) -> str:
        return self.problem.type.rpartition(":")[2]


_problem_decoder = msgspec.json.Decoder(Problem)


class Upstream(msgspec.Struct, frozen=True):
    """One service: its URL and the pooled transport to it.

    A transport, not an `httpx.AsyncClient`: cookies, redirects and authentication are not wanted here, and cost
    as much again as the request itself.
    """

    base_url: str
    transport: httpx.AsyncBaseTransport


def create_upstream(base_url: str, *, connections_max: int) -> Upstream:
    """Connections are made at the first request; none goes through a proxy, and no cookie is kept."""

    def create_session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections_max, keepalive_timeout=UPSTREAM_IDLE_S, ttl_dns_cache=10),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
        )

    return Upstream(base_url, AiohttpTransport(client=create_session, trust_env=False))


class Upstreams:
    """Sends requests to services under a signed identity."""

    def __init__(
        self,
        upstreams: Mapping[ServiceName, Upstream],
        *,
        guards: Mapping[ServiceName, ServiceGuard],
        minter: IdentityMinter,
        timeout_s: float,
        streaming: Mapping[ServiceName, Upstream] | None = None,
    ) -> None:
        """`streaming` have connections of their own, for event streams: they would take all of the others'."""
        self._guards = guards
        self._upstreams = upstreams
        self._streaming = streaming or upstreams
        self._minter = minter
        self._timeout_s = timeout_s
        self._extensions = {
            "timeout": {
                "connect": min(timeout_s, CONNECT_TIMEOUT_S),
                "pool": min(timeout_s, PLACE_TIMEOUT_S),
                "read": timeout_s,
                "write": timeout_s,
            }
        }
        self._stream_extensions = {"timeout": {**self._extensions["timeout"], "read": max(timeout_s, SILENCE_MAX_S)}}

    @asynccontextmanager
    async def send(
        self,
        service: ServiceName,
        *,
        identity: Identity,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes],
        upload_s: float = 0.0,
        is_stream: bool = False,
    ) -> AsyncIterator[httpx.Response]:
        """One request; the answer's body is not read yet. `target` is path and query, percent-encoded.

        `is_stream`: the answer may be a stream of events, between which the service may be silent for a while.
        `upload_s` is added to the time limit for the body's source. A GET that never reached the service (no
        connection) is tried once more.

        Raises:
            ServiceRefusedError: the service is not called at the moment.
            UnavailableError: no connection, or one that broke before the answer began.
            UpstreamTimeoutError: no answer in time.
        """
        upstream = (self._streaming if is_stream else self._upstreams)[service]
        request = httpx.Request(
            method,
            upstream.base_url + target,
            headers={
                **headers,
                # What the client accepts is between it and the gateway.
                "accept-encoding": "identity",
                **outgoing_headers(),
                IDENTITY_HEADER: self._minter.mint(identity, service),
            },
            content=body,
            extensions=self._stream_extensions if is_stream else self._extensions,
        )
        guard = self._guards[service]
        async with AsyncExitStack() as stack:
            with guard.call() as call:
                if not is_stream:
                    await stack.enter_async_context(guard.place())
                response = await self._send_bounded(upstream, request, service, call, upload_s=upload_s)
            stack.push_async_callback(response.aclose)
            yield response

    async def _send_bounded(
        self, upstream: Upstream, request: httpx.Request, service: ServiceName, call: GuardedCall, *, upload_s: float
    ) -> httpx.Response:
        try:
            async with asyncio.timeout(self._timeout_s + upload_s):
                response = await _send_or_retry(upstream, request)
        except UPSTREAM_ERRORS as error:
            # While a client's body is on its way, it may be the client that is slow or gone, not the service.
            if upload_s == 0 or was_never_sent(error):
                call.failed()
            raise _as_problem(error, service) from error
        call.answered()
        return response

    async def call(
        self,
        service: ServiceName,
        method: str,
        path: str,
        *,
        identity: Identity,
        answer: type[T],
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """A JSON call of the gateway's own, for a page.

        Raises:
            BodyTooLargeError: no service takes a body of this size.
            UpstreamRefusalError: the service answered with a problem below 500.
            UnavailableError, UpstreamTimeoutError: it did not answer, or with a fault of its own.
        """
        sent_headers = {"accept": "application/json", **(headers or {})}
        content: bytes | AsyncIterator[bytes] = b""
        if body is not None:
            encoded = msgspec.json.encode(body)
            if len(encoded) > API_BODY_MAX_BYTES:
                # The service would close the connection on it, which looks like a fault of its own.
                raise BodyTooLargeError
            sent_headers |= {"content-type": "application/json", "content-length": str(len(encoded))}
            content = encoded if len(encoded) <= _PIECE_BYTES else _pieces(encoded)
        async with self.send(
            service, identity=identity, method=method, target=path, headers=sent_headers, body=content
        ) as response:
            received = await self._read(response, service)
        if response.is_success:
            try:
                return msgspec.json.decode(received, type=answer)
            except msgspec.DecodeError as error:
                _log.error("upstream.answer_not_understood", upstream=service, error=str(error))
                raise UnavailableError from error
        if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            _log.warning("upstream.failed", upstream=service, status=response.status_code)
            raise UnavailableError
        raise UpstreamRefusalError(response.status_code, _decode_problem(received, response), response.headers)

    async def _read(self, response: httpx.Response, service: ServiceName) -> bytes:
        pieces, total = [], 0
        try:
            async with asyncio.timeout(self._timeout_s):
                async for piece in response.aiter_raw():
                    total += len(piece)
                    if total > JSON_ANSWER_MAX_BYTES:
                        _log.error("upstream.answer_too_large", upstream=service)
                        raise UnavailableError
                    pieces.append(piece)
        except UPSTREAM_ERRORS as error:
            raise _as_problem(error, service) from error
        return b"".join(pieces)


async def _send_or_retry(upstream: Upstream, request: httpx.Request) -> httpx.Response:
    try:
        return await upstream.transport.handle_async_request(request)
    except httpx.TransportError as error:
        if not (request.method == "GET" and was_never_sent(error)):
            raise
    return await upstream.transport.handle_async_request(request)


def _decode_problem(received: bytes, response: httpx.Response) -> Problem:
    try:
        return _problem_decoder.decode(received)
    except msgspec.DecodeError:
        return Problem(type="about:blank", title=response.reason_phrase, status=response.status_code)


def was_never_sent(error: Exception) -> bool:
    """Whether no byte of the request can have reached the service.

    The aiohttp transport reports every connection error as `ConnectTimeout`; its cause tells them apart.
    """
    if isinstance(error, httpx.ConnectError):
        return True
    return isinstance(error.__cause__, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)


def _as_problem(error: Exception, service: ServiceName) -> ProblemError:
    # Not even a connection means that the service is away, not slow.
    is_timeout = isinstance(error, TimeoutError | httpx.TimeoutException) and not isinstance(
        error, httpx.ConnectTimeout
    )
    _log.warning(
        "upstream.unreachable", upstream=service, error=type(error.__cause__ or error).__name__, timed_out=is_timeout
    )
    return UpstreamTimeoutError(headers={"Retry-After": "5"}) if is_timeout else UnavailableError()


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), _PIECE_BYTES):
        yield content[start : start + _PIECE_BYTES]
