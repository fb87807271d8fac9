"""Request bodies of the API may come with a content coding (RFC 7694): they are decoded here, within bounds.

What comes after this sees a body of unknown length without a coding, and its own bound counts the decoded bytes.
"""

from collections.abc import Iterator
from typing import cast

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send
from litestar.types.asgi_types import ReceiveMessage

from broadsheet_common.http.problems import UnsupportedMediaTypeError
from broadsheet_gateway.content_coding.coding import CODINGS, BodyDecoder, read_coding

_PLAIN = frozenset({"", "identity"})


class CodingNotSupportedError(UnsupportedMediaTypeError):
    title = "The body's content coding is not supported"


class DecodeBodies(ASGIMiddleware):
    """Raises problems: 415 here, and 400 and 413 while the body is read."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, prefix: str) -> None:
        """`prefix`: the beginning of the paths whose bodies may be coded."""
        self._prefix = prefix.encode()

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        http_scope = cast("HTTPScope", scope)
        headers = dict(http_scope["headers"])
        given = headers.get(b"content-encoding", b"").decode("latin-1")
        if given.strip().lower() in _PLAIN or not http_scope["raw_path"].startswith(self._prefix):
            await next_app(scope, receive, send)
            return
        coding = read_coding(given)
        if coding is None:
            detail = f"Supported are {' and '.join(sorted(CODINGS))}, one at a time."
            raise CodingNotSupportedError(detail, headers={"Accept-Encoding": ", ".join(CODINGS)})
        has_body = b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
        kept = {name: value for name, value in headers.items() if name not in {b"content-encoding", b"content-length"}}
        if has_body:
            kept[b"transfer-encoding"] = b"chunked"
        http_scope["headers"] = list(kept.items())
        await next_app(scope, _DecodedBody(receive, BodyDecoder(coding)).receive, send)


class _DecodedBody:
    def __init__(self, receive: Receive, decoder: BodyDecoder) -> None:
        self._receive = receive
        self._decoder = decoder
        self._pieces: Iterator[bytes] = iter(())
        self._is_last = False

    async def receive(self) -> ReceiveMessage:
        """The next decoded piece. A message that decodes to nothing is given on, so that no wait is unbounded."""
        piece = next(self._pieces, None)
        if piece is None and not self._is_last:
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            self._is_last = not message.get("more_body", False)
            self._pieces = self._decoder.decode(message["body"])
            piece = next(self._pieces, None)
        if piece is not None:
            return {"type": "http.request", "body": piece, "more_body": True}
        if not self._is_last:
            return {"type": "http.request", "body": b"", "more_body": True}
        self._decoder.finish()
        return {"type": "http.request", "body": b"", "more_body": False}
