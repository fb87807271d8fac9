"""Answers in a content coding that the client takes: JSON and CSV of the API, static files, feeds, and the archive.

A page that holds a session's token beside what a stranger may have put into the request is never compressed: its size
would tell the token (BREACH). So HTML is compressed only if everybody gets the same (`Cache-Control: public`).

The entity tag of a compressed answer has the coding as its ending, since it names other bytes (RFC 9110, 8.8.3.3);
`without_coding` takes it away again where a client sends it back.
"""

from collections.abc import MutableMapping
from typing import Any, cast

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from broadsheet_common.http.entity_tag import with_coding
from broadsheet_gateway.content_coding.coding import Coding, Compressor, choose_coding, create_compressor
from broadsheet_gateway.http.request_path import sent_path

SMALLEST_BYTES = 1024
KEPT_MAX = 64
"""Compressed static files that are kept; there are fewer."""

_TYPES = frozenset({
    b"application/json", b"application/problem+json", b"application/jsonl", b"application/atom+xml",
    b"application/xml", b"text/xml", b"text/csv", b"text/plain", b"text/css", b"text/javascript", b"image/svg+xml",
})  # fmt: skip
_IF_PUBLIC = frozenset({b"text/html"})
_STATUSES = frozenset({200, 201, 202})

Kept = MutableMapping[tuple[str, Coding], bytes]


class CompressAnswers(ASGIMiddleware):
    scopes = (ScopeType.HTTP,)

    def __init__(self) -> None:
        self._kept: Kept = {}

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        headers: Any = scope["headers"]
        accepted = dict(headers).get(b"accept-encoding", b"").decode("latin-1")
        answer = _Answer(send, choose_coding(accepted), sent_path(scope), self._kept)
        await next_app(scope, receive, answer.send)


class _Answer:
    """One answer on its way. Its start waits for the first piece of its body, which tells whether it is small."""

    def __init__(self, send: Send, coding: Coding | None, path: str, kept: Kept) -> None:
        self._send = send
        self._coding = coding
        self._path = path
        self._kept = kept
        self._start: Any = None
        self._compressor: Compressor | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if _may_be_compressed(message):
                self._start = message
            else:
                await self._send(message)
        elif message["type"] != "http.response.body":
            await self._send(message)
        elif self._start is not None:
            start, self._start = self._start, None
            await self._begin(start, message)
        elif self._compressor is not None:
            await self._go_on(message)
        else:
            await self._send(message)

    async def _begin(self, start: Any, first: Any) -> None:
        body, is_whole = first["body"], not first.get("more_body", False)
        headers = [*_without_vary(start["headers"]), (b"vary", _vary(start["headers"]))]
        announced = dict(headers).get(b"content-length", b"")
        length = len(body) if is_whole else int(announced) if announced.isdigit() else None
        if self._coding is None or (length is not None and length < SMALLEST_BYTES):
            await self._send(cast("Message", {**start, "headers": headers}))
            await self._send(first)
            return
        coded = [
            (name, with_coding(value.decode("latin-1"), self._coding).encode() if name == b"etag" else value)
            for name, value in headers
            if name != b"content-length"
        ]
        coded.append((b"content-encoding", self._coding.encode()))
        if is_whole:
            body = self._compress_whole(body, is_kept=b"immutable" in dict(headers).get(b"cache-control", b""))
            coded.append((b"content-length", str(len(body)).encode()))
            await self._send(cast("Message", {**start, "headers": coded}))
            await self._send({"type": "http.response.body", "body": body, "more_body": False})
            return
        self._compressor = create_compressor(self._coding)
        await self._send(cast("Message", {**start, "headers": coded}))
        await self._go_on(first)

    async def _go_on(self, message: Any) -> None:
        assert self._compressor is not None
        body = self._compressor.compress(message["body"])
        more = bool(message.get("more_body", False))
        if not more:
            body += self._compressor.flush()
        if body or not more:
            await self._send({"type": "http.response.body", "body": body, "more_body": more})

    def _compress_whole(self, body: bytes, *, is_kept: bool) -> bytes:
        """`is_kept`: its address is that of its content, so it is compressed once."""
        assert self._coding is not None
        key = (self._path, self._coding)
        if is_kept and key in self._kept:
            return self._kept[key]
        compressor = create_compressor(self._coding)
        compressed = compressor.compress(body) + compressor.flush()
        if is_kept and len(self._kept) < KEPT_MAX:
            self._kept[key] = compressed
        return compressed


def _may_be_compressed(start: Any) -> bool:
    headers = {name.lower(): value.lower() for name, value in start["headers"]}
    caching = headers.get(b"cache-control", b"")
    if start["status"] not in _STATUSES or b"content-encoding" in headers or b"no-transform" in caching:
        return False
    media_type = headers.get(b"content-type", b"").partition(b";")[0].strip()
    return media_type in _TYPES or (media_type in _IF_PUBLIC and caching.startswith(b"public"))


def _without_vary(headers: Any) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in headers if name.lower() != b"vary"]


def _vary(headers: Any) -> bytes:
    said = [value for name, value in headers if name.lower() == b"vary"]
    return b", ".join([*said, b"Accept-Encoding"])
