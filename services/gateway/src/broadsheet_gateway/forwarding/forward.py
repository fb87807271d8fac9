"""`/api/v1/…`: authenticate, limit, and forward to the service that owns the path.

The request is forwarded with an identity that the gateway signs. Only a few of the client's headers pass;
identity headers, hop-by-hop headers and cookies never do. Bodies are streamed both ways.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import httpx
import msgspec
import structlog
from litestar import asgi
from litestar.connection import ASGIConnection
from litestar.handlers import ASGIRouteHandler
from litestar.types import HTTPScope, Message, Receive, Scope, Send
from sqlalchemy.exc import SQLAlchemyError

from broadsheet_common.contracts.identity import Identity, ServiceName
from broadsheet_common.contracts.permissions import Permission
from broadsheet_common.http.problems import (
    BodyTooLargeError,
    ForbiddenError,
    MalformedRequestError,
    MethodNotAllowedError,
    NotFoundError,
    ProblemError,
    UnauthenticatedError,
)
from broadsheet_common.http.service_app import allow_header, sent_method
from broadsheet_gateway.forwarding.authenticate import Authenticator
from broadsheet_gateway.forwarding.forward_stream import EventStreams, is_event_stream
from broadsheet_gateway.forwarding.route_table import FILE_ROUTES, STREAM_ROUTES, find_route
from broadsheet_gateway.forwarding.upstreams import UPSTREAM_ERRORS, Upstreams
from broadsheet_gateway.http.request_body import announced_length, read_body, stream_body
from broadsheet_gateway.http.request_origin import RequestOrigin
from broadsheet_gateway.http.request_path import sent_path
from broadsheet_gateway.limits.limiter import Charge, Limiter
from broadsheet_gateway.limits.rate_limit import RateLimit, Verdict
from broadsheet_gateway.own_api.app import OwnApi

_REQUEST_HEADERS = (
    "content-type", "content-length", "accept", "accept-language",
    "idempotency-key", "if-match", "if-none-match", "last-event-id", "prefer",
)  # fmt: skip
_ANSWER_HEADERS = frozenset({
    b"content-type", b"content-length", b"content-disposition", b"content-encoding", b"content-language",
    b"etag", b"last-modified",
    b"cache-control", b"location", b"link", b"allow", b"accept", b"retry-after", b"vary", b"deprecation", b"sunset",
    b"preference-applied", b"x-accel-buffering",
})  # fmt: skip
_BUFFERED_BODY_MAX_BYTES = 64 * 1024
_BODILESS_METHODS = frozenset({"GET", "HEAD"})

_log = structlog.get_logger()


class BodyBounds(msgspec.Struct, frozen=True):
    """`idle_s` bounds the wait for each piece of a body, `timeout_s` the whole of it."""

    max_bytes: int
    timeout_s: float
    idle_s: float


class _Body:
    """A client's body on its way to a service; it records why it broke off, which the HTTP client would hide."""

    def __init__(self, receive: Receive, bounds: BodyBounds) -> None:
        self._pieces = stream_body(
            receive, max_bytes=bounds.max_bytes, timeout_s=bounds.timeout_s, idle_s=bounds.idle_s
        )
        self.failure: ProblemError | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._pieces:
                yield piece
        except ProblemError as error:
            self.failure = error
            raise


class Forwarder:
    """The ASGI application behind `/api/v1`."""

    def __init__(
        self,
        *,
        authenticator: Authenticator,
        request_origin: RequestOrigin,
        limiter: Limiter,
        limit: RateLimit,
        upstreams: Upstreams,
        bodies: BodyBounds,
        files: BodyBounds,
        streams: EventStreams,
        own_api: OwnApi,
    ) -> None:
        self._authenticator = authenticator
        self._request_origin = request_origin
        self._limiter = limiter
        self._limit = limit
        self._upstreams = upstreams
        self._bodies = bodies
        self._files = files
        self._streams = streams
        self._own_api = own_api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http_scope = cast("HTTPScope", scope)
        method = sent_method(http_scope)
        path = sent_path(scope)
        http_scope["path"] = path  # not the mount's remainder: problems name the path that was asked for
        route = find_route(path)
        if route is None:
            raise NotFoundError
        # Logs and metrics name the route by its template; the mount's own would say `/api/v1` for everything.
        cast("dict[str, Any]", scope)["path_template"] = route.template
        allowed = allow_header(route.permissions)
        if method == "OPTIONS":
            await _answer_options(allowed, send)
            return
        if method not in allowed.split(", "):
            raise MethodNotAllowedError(headers={"Allow": allowed})
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in http_scope["headers"]}
        address = self._request_origin.address(ASGIConnection(scope))
        cookies = parse_cookies(headers.get("cookie"))
        permission = route.permissions["GET" if method == "HEAD" else method]
        identity = await self._authenticator.authenticate(
            method, headers, cookies, address=address, permission=permission
        )
        _require_permission(identity, permission)
        verdict = await self._charge(identity)
        if route.owner == "gateway":
            await self._own_api.answer(http_scope, receive, _with_headers(send, verdict.headers), identity=identity)
            return
        query = http_scope["query_string"].decode("ascii")
        target = f"{path}?{query}" if query else path
        if route.template in STREAM_ROUTES and method == "GET":
            credentials = _Credentials(self._authenticator, headers, cookies, address, permission, identity)
            await self._forward_stream(route.owner, target, credentials, verdict, receive, send)
            return
        bounds = self._files if route.template in FILE_ROUTES else self._bodies
        body = await self._take_body(http_scope, headers, receive, bounds)
        passed_headers = {name: headers[name] for name in _REQUEST_HEADERS if name in headers}
        try:
            async with self._upstreams.send(
                route.owner,
                identity=identity,
                method=method,
                target=target,
                headers=passed_headers,
                body=body if isinstance(body, bytes) else body.__aiter__(),
                upload_s=0.0 if isinstance(body, bytes) else bounds.timeout_s,
            ) as response:
                await _answer(response, verdict, send)
        except ProblemError as error:
            if isinstance(body, _Body) and body.failure is not None:
                raise body.failure from error
            raise

    async def _forward_stream(
        self,
        service: ServiceName,
        target: str,
        credentials: "_Credentials",
        verdict: Verdict,
        receive: Receive,
        send: Send,
    ) -> None:
        passed_headers = {name: credentials.headers[name] for name in _REQUEST_HEADERS if name in credentials.headers}
        with self._streams.place():
            async with self._upstreams.send(
                service,
                identity=credentials.identity,
                method="GET",
                target=target,
                headers=passed_headers,
                body=b"",
                is_stream=True,
            ) as response:
                if not is_event_stream(response):
                    await _answer(response, verdict, send)
                    return
                await _begin_answer(response, verdict, send)
                await self._streams.pass_on(response, receive, send, credentials.are_still_good)

    async def _charge(self, identity: Identity) -> Verdict:
        (verdict,) = await self._limiter.require([Charge("api", identity.subject, self._limit)])
        return verdict

    @staticmethod
    async def _take_body(
        scope: HTTPScope, headers: Mapping[str, str], receive: Receive, bounds: BodyBounds
    ) -> bytes | _Body:
        """Small bodies as a whole, which is cheaper; large ones, and those of unknown length, as a stream."""
        method = sent_method(scope)
        length = announced_length(headers)
        # HTTP/1 says in its headers whether there is a body; HTTP/2 need not.
        is_http1 = scope["http_version"].startswith("1")
        if length is None and (is_http1 or method in _BODILESS_METHODS) and "transfer-encoding" not in headers:
            return b""
        if method in _BODILESS_METHODS and (length is None or length > 0):
            raise MalformedRequestError(f"A {method} request must have no body here.")
        if (length or 0) > bounds.max_bytes:
            raise BodyTooLargeError(f"At most {bounds.max_bytes} bytes are accepted here.")
        if length is not None and length <= _BUFFERED_BODY_MAX_BYTES:
            return await read_body(receive, headers, max_bytes=length, timeout_s=bounds.idle_s)
        return _Body(receive, bounds)


class _Credentials(msgspec.Struct, frozen=True):
    """With which a stream was asked for, and whom they named then."""

    authenticator: Authenticator
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    address: str | None
    permission: Permission
    identity: Identity

    async def are_still_good(self) -> bool | None:
        """Whether they name the same caller with the same rights; None if that cannot be found out."""
        try:
            now = await self.authenticator.authenticate(
                "GET", self.headers, self.cookies, address=self.address, permission=self.permission, is_use=False
            )
        except UnauthenticatedError:
            return False
        except (ProblemError, SQLAlchemyError, OSError) as error:
            _log.warning("stream.rights_unknown", error=type(error).__name__)
            return None
        return now == self.identity


def _require_permission(identity: Identity, permission: Permission) -> None:
    """Whether it is held for the newsletter in question is for the owner of the route to say.

    Raises:
        ForbiddenError: the caller holds the permission for no newsletter at all.
    """
    held_for = identity.newsletters_with(permission)
    if held_for is not None and not held_for:
        raise ForbiddenError(f"The permission `{permission}` is needed.")


def _with_headers(send: Send, headers: Mapping[str, str]) -> Send:
    added = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *added]
        await send(message)

    return send_with_headers


async def _begin_answer(response: httpx.Response, verdict: Verdict, send: Send) -> None:
    headers = [(name.lower(), value) for name, value in response.headers.raw if name.lower() in _ANSWER_HEADERS]
    headers += [(name.lower().encode(), value.encode()) for name, value in verdict.headers.items()]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})


async def _answer(response: httpx.Response, verdict: Verdict, send: Send) -> None:
    """Stream the answer. If it breaks off after it began, the client's connection is closed."""
    await _begin_answer(response, verdict, send)
    try:
        async for piece in response.aiter_raw():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    except UPSTREAM_ERRORS as error:
        raise ConnectionAbortedError("the service ended its answer before it was complete") from error
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _answer_options(allowed: str, send: Send) -> None:
    """Which methods a path allows is public in the API document: no credentials are needed."""
    await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", allowed.encode())]})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def parse_cookies(header: str | None) -> dict[str, str]:
    """The request's cookies, whatever else stands in the header (RFC 6265, section 5.4, read leniently)."""
    pairs = (part.strip().partition("=") for part in (header or "").split(";"))
    return {name: value.strip('"') for name, _, value in pairs if name}


def forward_route(forwarder: Forwarder) -> ASGIRouteHandler:
    @asgi("/api/v1", is_mount=True, copy_scope=False)
    async def forward(scope: Scope, receive: Receive, send: Send) -> None:
        await forwarder(scope, receive, send)

    return forward
