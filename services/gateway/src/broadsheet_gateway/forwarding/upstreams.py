"""Requests to the services behind the gateway, and the answers for services that do not answer."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Generic, TypeVar

import msgspec
import structlog

from broadsheet_common.contracts.identity import IDENTITY_HEADER, Identity, IdentityMinter, ServiceName
from broadsheet_common.event_streams.messages import SILENCE_MAX_S
from broadsheet_common.http.problems import BodyTooLargeError, Problem, ProblemError, UnavailableError
from broadsheet_common.process.tracing import outgoing_headers
from broadsheet_gateway.forwarding.service_guard import GuardedCall, ServiceGuard
from broadsheet_gateway.forwarding.transport import (
    Body,
    SentRequest,
    Transport,
    TransportError,
    UpstreamAnswer,
    is_success,
)
from broadsheet_gateway.settings import API_BODY_MAX_BYTES

T = TypeVar("T")

_PIECE_BYTES = 256 * 1024
JSON_ANSWER_MAX_BYTES = 16 * 1024 * 1024
_FAULT_STATUSES = range(500, 600)

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


class TaggedAnswer(msgspec.Struct, Generic[T], frozen=True):
    """An answer with its `ETag`, which a change sends back as `If-Match`; empty if there was none."""

    value: T
    etag: str


_problem_decoder = msgspec.json.Decoder(Problem)


class Upstreams:
    """Sends requests to services under a signed identity."""

    def __init__(
        self,
        transports: Mapping[ServiceName, Transport],
        *,
        guards: Mapping[ServiceName, ServiceGuard],
        minter: IdentityMinter,
        timeout_s: float,
        streaming: Mapping[ServiceName, Transport] | None = None,
    ) -> None:
        """`streaming` have connections of their own, for event streams: they would take all of the others'."""
        self._guards = guards
        self._transports = transports
        self._streaming = streaming or transports
        self._minter = minter
        self._timeout_s = timeout_s
        self._stream_silence_s = max(timeout_s, SILENCE_MAX_S)

    @asynccontextmanager
    async def send(
        self,
        service: ServiceName,
        *,
        identity: Identity,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: Body,
        upload_s: float = 0.0,
        is_stream: bool = False,
    ) -> AsyncIterator[UpstreamAnswer]:
        """One request; the answer's body is not read yet. `target` is path and query, percent-encoded.

        `is_stream`: the answer may be a stream of events, between which the service may be silent for a while.
        `upload_s` is added to the time limit for the body's source. A GET that did not reach the service
        (no connection) is tried once more, and the transport may repeat one that broke off.

        Raises:
            ServiceRefusedError: the service is not called at the moment.
            UnavailableError: no connection, or one that broke before the answer began.
            UpstreamTimeoutError: no answer in time.
        """
        request = SentRequest(
            method,
            target,
            {
                **headers,
                # What the client accepts is between it and the gateway.
                "accept-encoding": "identity",
                **outgoing_headers(),
                IDENTITY_HEADER: self._minter.mint(identity, service),
            },
            body,
            self._stream_silence_s if is_stream else self._timeout_s,
        )
        transport = (self._streaming if is_stream else self._transports)[service]
        guard = self._guards[service]
        place = guard.place()
        try:
            with guard.call() as call:
                if not is_stream:
                    await place.take()
                answer = await self._send_bounded(transport, request, service, call, upload_s=upload_s)
            try:
                yield answer
            finally:
                await answer.aclose()
        finally:
            place.give_back()

    async def _send_bounded(
        self, transport: Transport, request: SentRequest, service: ServiceName, call: GuardedCall, *, upload_s: float
    ) -> UpstreamAnswer:
        try:
            async with asyncio.timeout(self._timeout_s + upload_s):
                answer = await _send_or_retry(transport, request)
        except (TransportError, TimeoutError) as error:
            # While a client's body is on its way, it may be the client that is slow or gone, not the service.
            if upload_s == 0 or (isinstance(error, TransportError) and error.was_never_sent):
                call.failed()
            raise as_problem(error, service) from error
        call.answered()
        return answer

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
        """A JSON call of the gateway's own, for a page. Raises as `call_tagged` does."""
        return (
            await self.call_tagged(service, method, path, identity=identity, answer=answer, body=body, headers=headers)
        ).value

    async def call_tagged(
        self,
        service: ServiceName,
        method: str,
        path: str,
        *,
        identity: Identity,
        answer: type[T],
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> TaggedAnswer[T]:
        """As `call`, with the answer's entity tag. An answer without a body (204) is read as `null`.

        Raises:
            BodyTooLargeError: no service takes a body of this size.
            UpstreamRefusalError: the service answered with a problem below 500.
            UnavailableError, UpstreamTimeoutError: it did not answer, or with a fault of its own.
        """
        sent_headers = {"accept": "application/json", **(headers or {})}
        content: Body = b""
        if body is not None:
            encoded = msgspec.json.encode(body)
            if len(encoded) > API_BODY_MAX_BYTES:
                # The service would close the connection on it, which looks like a fault of its own.
                raise BodyTooLargeError
            sent_headers |= {"content-type": "application/json", "content-length": str(len(encoded))}
            content = encoded if len(encoded) <= _PIECE_BYTES else _pieces(encoded)
        async with self.send(
            service, identity=identity, method=method, target=path, headers=sent_headers, body=content
        ) as sent:
            return await self._understood(sent, service, answer)

    async def upload(
        self,
        service: ServiceName,
        path: str,
        *,
        identity: Identity,
        answer: type[T],
        content: AsyncIterator[bytes],
        upload_s: float,
        headers: Mapping[str, str],
    ) -> T:
        """A POST whose body is passed on as it comes. `upload_s`: how long its source may take. If `content` raises,
        the request breaks off, and the service has no part of it.

        Raises UpstreamRefusalError, UnavailableError, UpstreamTimeoutError, as `call_tagged`.
        """
        async with self.send(
            service,
            identity=identity,
            method="POST",
            target=path,
            headers={"accept": "application/json", **headers},
            body=content,
            upload_s=upload_s,
        ) as sent:
            return (await self._understood(sent, service, answer)).value

    async def _understood(self, sent: UpstreamAnswer, service: ServiceName, answer: type[T]) -> TaggedAnswer[T]:
        received = await self._read(sent, service)
        given = {name.decode("latin-1"): value.decode("latin-1") for name, value in sent.headers}
        if is_success(sent):
            try:
                return TaggedAnswer(msgspec.json.decode(received or b"null", type=answer), given.get("etag", ""))
            except msgspec.DecodeError as error:
                _log.error("upstream.answer_not_understood", upstream=service, error=str(error))
                raise UnavailableError from error
        if sent.status in _FAULT_STATUSES:
            _log.warning("upstream.failed", upstream=service, status=sent.status)
            raise UnavailableError
        raise UpstreamRefusalError(sent.status, _decode_problem(received, sent.status), given)

    async def _read(self, answer: UpstreamAnswer, service: ServiceName) -> bytes:
        pieces, total = [], 0
        try:
            async with asyncio.timeout(self._timeout_s):
                async for piece in answer.pieces():
                    total += len(piece)
                    if total > JSON_ANSWER_MAX_BYTES:
                        _log.error("upstream.answer_too_large", upstream=service)
                        raise UnavailableError
                    pieces.append(piece)
        except (TransportError, TimeoutError) as error:
            raise as_problem(error, service) from error
        return b"".join(pieces)


async def _send_or_retry(transport: Transport, request: SentRequest) -> UpstreamAnswer:
    try:
        return await transport.send(request)
    except TransportError as error:
        if not (request.method == "GET" and error.was_never_sent):
            raise
    return await transport.send(request)


def _decode_problem(received: bytes, status: int) -> Problem:
    try:
        return _problem_decoder.decode(received)
    except msgspec.DecodeError:
        return Problem(type="about:blank", title=_reason(status), status=status)


def _reason(status: int) -> str:
    """The standard's words for it (RFC 9110, section 15)."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown status"


def as_problem(error: TransportError | TimeoutError, service: ServiceName) -> ProblemError:
    """The answer for a service that gave none, or broke it off; it is logged."""
    is_timeout = isinstance(error, TimeoutError) or error.is_timeout
    reason = "TimeoutError" if isinstance(error, TimeoutError) else str(error)
    _log.warning("upstream.unreachable", upstream=service, error=reason, timed_out=is_timeout)
    return UpstreamTimeoutError(headers={"Retry-After": "5"}) if is_timeout else UnavailableError()


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), _PIECE_BYTES):
        yield content[start : start + _PIECE_BYTES]
