"""`/api/v1/…`: authenticate, limit, and forward to the service that owns the path.

The request is forwarded with an identity that the gateway signs. Only a few of the client's headers pass;
identity headers, hop-by-hop headers and cookies never do. Bodies are streamed both ways.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import msgspec
import structlog
from litestar import asgi
from litestar.connection import ASGIConnection
from litestar.handlers import ASGIRouteHandler
from litestar.types import HTTPScope, Receive, ReceiveMessage, Scope, Send
from sqlalchemy.exc import SQLAlchemyError

from broadsheet_common.contracts.identity import Identity, ServiceName
from broadsheet_common.contracts.permissions import Permission
from broadsheet_common.http.entity_tag import without_coding
from broadsheet_common.http.problems import (
    BodyTooLargeError,
    ForbiddenError,
    MalformedRequestError,
    MethodNotAllowedError,
    NotFoundError,
    ProblemError,
    UnauthenticatedError,
)
from broadsheet_common.http.service_app import sent_method
from broadsheet_gateway.forwarding.authenticate import Authenticator
from broadsheet_gateway.forwarding.forward_stream import EventStreams, is_event_stream
from broadsheet_gateway.forwarding.limit_class import LimitClass, limit_class
from broadsheet_gateway.forwarding.route_table import FILE_ROUTES, STREAM_ROUTES, Route, find_route
from broadsheet_gateway.forwarding.transport import TransportError, UpstreamAnswer, length_of
from broadsheet_gateway.forwarding.upstreams import Upstreams, as_problem
from broadsheet_gateway.http import csrf
from broadsheet_gateway.http.client_address import UNKNOWN, rate_limit_subject
from broadsheet_gateway.http.request_body import announced_length, read_body, stream_body
from broadsheet_gateway.http.request_origin import RequestOrigin
from broadsheet_gateway.http.request_path import sent_path
from broadsheet_gateway.limits.answer_limits import note_verdicts
from broadsheet_gateway.limits.limiter import Charge, Limiter
from broadsheet_gateway.limits.rate_limit import RateLimit
from broadsheet_gateway.own_api.app import OwnApi
from broadsheet_gateway.settings import RateLimits

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
_TAG_HEADERS = frozenset({"if-match", "if-none-match"})
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
        limits: RateLimits,
        upstreams: Upstreams,
        bodies: BodyBounds,
        files: BodyBounds,
        streams: EventStreams,
        own_api: OwnApi,
    ) -> None:
        self._authenticator = authenticator
        self._request_origin = request_origin
        self._limiter = limiter
        self._per_caller = limits.api_per_caller
        self._per_class: dict[LimitClass, RateLimit] = {
            "api-read": limits.api_reads_per_caller,
            "api-write": limits.api_writes_per_caller,
            "api-expensive": limits.api_expensive_per_caller,
        }
        self._per_stranger = limits.api_strangers_per_ip
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
        connection = ASGIConnection[Any, Any, Any, Any](scope)
        address = self._request_origin.address(connection)
        source = rate_limit_subject(address or UNKNOWN)
        try:
            route = _find_route(scope, method, path)
            if method == "OPTIONS":
                await self._charge_stranger(scope, source)
                await _answer_options(route.allow, send)
                return
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in http_scope["headers"]}
            cookies = parse_cookies(headers.get("cookie"))
            permission = route.permissions["GET" if method == "HEAD" else method]
            identity = await self._authenticator.authenticate(
                method, headers, cookies, address=address, permission=permission
            )
            _require_permission(identity, permission)
        except (NotFoundError, MethodNotAllowedError, UnauthenticatedError, ForbiddenError):
            await self._charge_stranger(scope, source)
            raise
        await self._charge(scope, identity, limit_class(method, route.template))
        credentials = _Credentials(self._authenticator, headers, cookies, address, permission, identity)
        if method not in csrf.SAFE_METHODS and "authorization" not in headers:
            receive = _checked_at_the_end(receive, credentials)
        if route.owner == "gateway":
            await self._own_api.answer(http_scope, receive, send, identity=identity)
            return
        query = http_scope["query_string"].decode("ascii")
        target = f"{path}?{query}" if query else path
        if route.template in STREAM_ROUTES and method == "GET":
            await self._forward_stream(route.owner, target, credentials, receive, send)
            return
        bounds = self._files if route.template in FILE_ROUTES else self._bodies
        body = await self._take_body(http_scope, headers, receive, bounds)
        passed_headers = _passed(headers)
        try:
            async with self._upstreams.send(
                route.owner,
                identity=identity,
                method=method,
                target=target,
                headers=passed_headers,
                body=body if isinstance(body, bytes) else body.__aiter__(),
                upload_s=0.0 if isinstance(body, bytes) else bounds.timeout_s,
            ) as answer:
                await _answer(answer, send, route.owner)
        except ProblemError as error:
            if isinstance(body, _Body) and body.failure is not None:
                raise body.failure from error
            raise

    async def _forward_stream(
        self,
        service: ServiceName,
        target: str,
        credentials: "_Credentials",
        receive: Receive,
        send: Send,
    ) -> None:
        passed_headers = _passed(credentials.headers)
        with self._streams.place():
            async with self._upstreams.send(
                service,
                identity=credentials.identity,
                method="GET",
                target=target,
                headers=passed_headers,
                body=b"",
                is_stream=True,
            ) as answer:
                if not is_event_stream(answer):
                    await _answer(answer, send, service)
                    return
                await _begin_answer(answer, send)
                await self._streams.pass_on(answer.pieces(), receive, send, credentials.are_still_good)

    async def _charge(self, scope: Scope, identity: Identity, kind: LimitClass) -> None:
        """Raises TooManyRequestsError over the caller's limit for all requests, or for this kind of them."""
        charges = [
            Charge("api", identity.subject, self._per_caller),
            Charge(kind, identity.subject, self._per_class[kind]),
        ]
        note_verdicts(scope, await self._limiter.require(charges))

    async def _charge_stranger(self, scope: Scope, source: str) -> None:
        """For a request that names no caller: it counts for where it came from."""
        note_verdicts(scope, await self._limiter.require([Charge("api-stranger", source, self._per_stranger)]))

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


def _passed(headers: Mapping[str, str]) -> dict[str, str]:
    """What a service gets of the client's headers; entity tags as the service gave them."""
    passed = {name: headers[name] for name in _REQUEST_HEADERS if name in headers}
    for name in _TAG_HEADERS & passed.keys():
        passed[name] = without_coding(passed[name])
    return passed


def _find_route(scope: Scope, method: str, path: str) -> Route:
    """Raises NotFoundError, MethodNotAllowedError."""
    route = find_route(path)
    if route is None:
        raise NotFoundError
    # Logs and metrics name the route by its template; the mount's own would say `/api/v1` for everything.
    cast("dict[str, Any]", scope)["path_template"] = route.template
    if method not in route.methods:
        raise MethodNotAllowedError(headers={"Allow": route.allow})
    return route


class _Credentials(msgspec.Struct, frozen=True):
    """With which a request began, and whom they named then."""

    authenticator: Authenticator
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    address: str | None
    permission: Permission
    identity: Identity

    async def are_still_good(self) -> bool | None:
        """Whether they name the same caller with the same rights; None if that cannot be found out."""
        try:
            await self.require_good()
        except UnauthenticatedError:
            return False
        except (ProblemError, SQLAlchemyError, OSError) as error:
            _log.warning("stream.rights_unknown", error=type(error).__name__)
            return None
        return True

    async def require_good(self) -> None:
        """Raises what `Authenticator.authenticate` raises, and UnauthenticatedError if they name somebody else now, or
        other rights.
        """
        now = await self.authenticator.authenticate(
            "GET", self.headers, self.cookies, address=self.address, permission=self.permission, is_use=False
        )
        if now != self.identity:
            raise UnauthenticatedError("What you may do was changed while this was on its way.")


def _checked_at_the_end(receive: Receive, credentials: _Credentials) -> Receive:
    """With the last piece of a body its sender is looked at again: a body may take its time, and a session that ended
    meanwhile makes no key by it.
    """

    async def checked() -> ReceiveMessage:
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            await credentials.require_good()
        return message

    return checked


def _require_permission(identity: Identity, permission: Permission) -> None:
    """Whether it is held for the newsletter in question is for the owner of the route to say.

    Raises:
        ForbiddenError: the caller holds the permission for no newsletter at all.
    """
    held_for = identity.newsletters_with(permission)
    if held_for is not None and not held_for:
        raise ForbiddenError(f"The permission `{permission}` is needed.")


async def _begin_answer(answer: UpstreamAnswer, send: Send) -> None:
    headers = [(name, value) for name, value in answer.headers if name in _ANSWER_HEADERS]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})


async def _answer(answer: UpstreamAnswer, send: Send, service: ServiceName) -> None:
    """A small answer as a whole, which is cheaper; any other as a stream. If a stream breaks off after it began, the
    client's connection is closed.

    Raises UnavailableError, UpstreamTimeoutError if a small one breaks off: nothing of it was sent.
    """
    length = length_of(answer)
    if length is not None and length <= _BUFFERED_BODY_MAX_BYTES:
        try:
            body = await answer.read()
        except TransportError as error:
            raise as_problem(error, service) from error
        await _begin_answer(answer, send)
        await send({"type": "http.response.body", "body": body, "more_body": False})
        return
    await _begin_answer(answer, send)
    try:
        async for piece in answer.pieces():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    except TransportError as error:
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
