"""HTTP's rules about methods and validators, applied to every route without any code in its handler.

- `HEAD` is answered wherever `GET` is, as `GET` without a body (RFC 9110, 9.3.2).
- `Allow` names the methods that the path takes, in answers to `OPTIONS` and in a 405 (RFC 9110, 10.2.1).
- Every answer of the API to `GET` that comes in one piece has an `ETag`: a weak one, if its handler gives none.
- `If-None-Match` with the `ETag` that the answer would carry makes it a 304 (RFC 9110, 13.1.2).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import msgspec
from litestar import Litestar
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException, MethodNotAllowedException
from litestar.types import HTTPScope, LifeSpanReceive, LifeSpanScope, LifeSpanSend, Message, Receive, Scope, Send

from broadsheet_common.http.entity_tag import body_tag, without_coding
from broadsheet_common.http.request_rules import percent_encoded

_TAGGED_PATHS = "/api/v1/"
_EVENT_STREAM = b"text/event-stream"
SENT_METHOD = "broadsheet_sent_method"
"""The scope's key for the method as the client sent it."""

_NOT_IN_304 = frozenset({
    b"content-type", b"content-length", b"content-encoding", b"content-language", b"content-disposition",
})  # fmt: skip
_NO_METHOD = "-"


def sent_method(scope: Mapping[str, Any]) -> str:
    """The method as the client sent it: `HEAD` is handled as `GET`."""
    method: str = scope.get(SENT_METHOD) or scope["method"]
    return method


def allow_header(methods: Iterable[str]) -> str:
    """The value of `Allow`: with `HEAD` if `GET` is there, and always with `OPTIONS`."""
    named = {*methods, "OPTIONS"}
    if "GET" in named:
        named.add("HEAD")
    return ", ".join(sorted(named))


def matches_entity_tag(if_none_match: str, entity_tag: str) -> bool:
    """The weak comparison of RFC 9110, 8.8.3.2."""
    current = without_coding(entity_tag.strip().removeprefix("W/"))
    named = {part.strip().removeprefix("W/") for part in without_coding(if_none_match).split(",")}
    return "*" in named or current in named


class _AnsweredError(Exception):
    """The answer is complete: ends a handler that would go on streaming."""


def _ends_a_cut_answer(error: BaseException | None) -> bool:
    """Whether it is an `_AnsweredError`, or was raised because of one: a handler may stream in a task group, and
    Litestar tries to answer what a handler raises.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(map(_ends_a_cut_answer, error.exceptions))
    while error is not None and not isinstance(error, _AnsweredError):
        error = error.__cause__ or error.__context__
    return error is not None


class ReadyAnswer(msgspec.Struct, frozen=True):
    """A whole answer, made beforehand. `headers`: names in lower case, with the content's type and length."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class ServiceApp(Litestar):
    answer_at_once: Callable[[HTTPScope], ReadyAnswer | None] | None = None
    """Asked before anything else is done for a request: for refusals that must cost next to nothing. Its answers pass
    no middleware, leave no line in the log, and count in no metric but those of whoever gives them.
    """

    async def __call__(
        self,
        scope: Scope | LifeSpanScope,
        receive: Receive | LifeSpanReceive,
        send: Send | LifeSpanSend,
    ) -> None:
        if scope["type"] != ScopeType.HTTP:
            await super().__call__(scope, receive, send)
            return
        http_scope = cast("HTTPScope", scope)
        if self.answer_at_once is not None and (ready := self.answer_at_once(http_scope)) is not None:
            await _send_ready(ready, cast("Send", send))
            return
        if not http_scope["query_string"].isascii():
            # Here, because also an error's answer reads the address, and Litestar takes it for UTF-8.
            http_scope["query_string"] = percent_encoded(http_scope["query_string"])
        method = http_scope["method"]
        cast("dict[str, Any]", scope)[SENT_METHOD] = method
        if method == "HEAD":
            # A copy: the server reads the method in its own, and sends no body, nor the end of one, after a HEAD.
            http_scope = cast("HTTPScope", {**http_scope, "method": "GET"})
        answer = _Answer(self, http_scope, method, cast("Send", send))
        try:
            await super().__call__(http_scope, receive, answer.send)
        except Exception as error:
            if not _ends_a_cut_answer(error):
                raise

    def allowed_methods(self, path: str) -> frozenset[str]:
        """The methods of the path's routes; empty if the path has none, or if an ASGI app serves it."""
        try:
            # Litestar's own answer to OPTIONS omits routes of the same path that were registered later.
            self.asgi_router.handle_routing(path=path, method=cast("Any", _NO_METHOD))
        except MethodNotAllowedException as refusal:
            return frozenset(part.strip() for part in (refusal.headers or {}).get("allow", "").split(","))
        except HTTPException:
            return frozenset()
        return frozenset()


async def _send_ready(ready: ReadyAnswer, send: Send) -> None:
    await send({"type": "http.response.start", "status": ready.status, "headers": ready.headers})
    await send({"type": "http.response.body", "body": ready.body, "more_body": False})


class _Answer:
    def __init__(self, app: ServiceApp, scope: HTTPScope, method: str, send: Send) -> None:
        self._app = app
        self._scope = scope
        self._path = scope["path"]
        self._method = method
        self._send = send
        self._has_body = method != "HEAD"
        self.is_finished = False
        self._held: Any = None

    async def send(self, message: Message) -> None:
        if self.is_finished:
            raise _AnsweredError
        if message["type"] == "http.response.start" and self._needs_a_tag(message):
            self._held = message  # until its body is there, of which the tag is made
            return
        if self._held is not None:
            held, self._held = self._held, None
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                held["headers"] = [*held["headers"], (b"etag", body_tag(message["body"]).encode())]
            await self._send(self._start(held))
        if message["type"] == "http.response.start":
            await self._send(self._start(message))
        elif self._has_body or message["type"] != "http.response.body":
            await self._send(message)
        else:
            self.is_finished = bool(message.get("more_body", False))
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _needs_a_tag(self, message: Any) -> bool:
        if message["status"] != 200 or self._method not in {"GET", "HEAD"} or not self._path.startswith(_TAGGED_PATHS):  # noqa: PLR2004
            return False
        headers = dict(message["headers"])
        return b"etag" not in headers and not headers.get(b"content-type", b"").startswith(_EVENT_STREAM)

    def _start(self, message: Any) -> Message:
        headers = dict(message["headers"])
        if b"allow" in headers:
            said = headers[b"allow"].decode("latin-1").split(", ")
            routed = self._app.allowed_methods(self._path) if self._method == "OPTIONS" else frozenset()
            allowed = allow_header(routed or said).encode()
            message["headers"] = [*((n, v) for n, v in message["headers"] if n != b"allow"), (b"allow", allowed)]
        tag = headers.get(b"etag")
        if tag is not None and message["status"] == 200 and self._method in {"GET", "HEAD"}:  # noqa: PLR2004
            given = b", ".join(value for name, value in self._scope["headers"] if name == b"if-none-match")
            if given and matches_entity_tag(given.decode("latin-1"), tag.decode("latin-1")):
                self._has_body = False
                kept = [(name, value) for name, value in message["headers"] if name not in _NOT_IN_304]
                return cast("Message", {**message, "status": 304, "headers": kept})
        return cast("Message", message)
