"""Answers as ASGI applications: Postmark's JSON, and faults in place of an answer.

A dropped connection is really closed: the server hands the connection's transport to the application (see
`server`), and nothing is written before it is aborted, so the client sees an end of file or a reset and never a
status line.
"""

import asyncio
import socket
import struct
from typing import Any, Final, Literal, assert_never

import msgspec
from litestar.types import Receive, Scope, Send

from broadsheet_postmark_sandbox.api.errors import DELAYED_MESSAGE, Refusal, default_text
from broadsheet_postmark_sandbox.faults.rules import (
    DropAfter,
    DropBefore,
    Hang,
    Malformed,
    RateLimit,
    SearchDown,
    StatusAnswer,
    WholeAnswer,
)

TRANSPORT_KEY: Final = "broadsheet_transport"

_JSON: Final = (b"content-type", b"application/json; charset=utf-8")
_HTML: Final = (b"content-type", b"text/html")
_PROXY_PAGE: Final = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"
)
# SO_LINGER on with no time: closing sends RST and discards unsent data.
_LINGER_NOTHING: Final = struct.pack("ii", 1, 0)


class Answer(msgspec.Struct, frozen=True):
    """A complete answer: status, body, and all headers but the length. Itself an ASGI application."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = (_JSON,)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        headers = [*self.headers, (b"content-length", b"%d" % len(self.body))]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


class Dropped(msgspec.Struct, frozen=True):
    """No answer: the connection closes at once, by RST or by FIN."""

    reset: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del send
        transport = _transport(scope)
        if self.reset:
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOTHING)
        transport.abort()
        await _disconnected(receive)


class Hanging(msgspec.Struct, frozen=True):
    """No answer for `seconds`, then the connection closes; it ends sooner if the client disconnects."""

    seconds: float

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self.seconds):
                await _disconnected(receive)
        except TimeoutError:
            await Dropped(reset=False)(scope, receive, send)


class CutOff(msgspec.Struct, frozen=True):
    """An answer that ends half-way through its announced body."""

    answer: Answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = self.answer.body
        headers = [*self.answer.headers, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": self.answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        _transport(scope).close()
        await _disconnected(receive)


AnyAnswer = Answer | Dropped | Hanging | CutOff


def json_answer(status: int, value: object) -> Answer:
    return Answer(status=status, body=msgspec.json.encode(value))


def refusal_answer(status: int, refusal: Refusal, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
    """The refusal of a whole request, with Postmark's header that repeats the code."""
    code_header = (b"x-pm-apierrorcode", b"%d" % refusal.error_code)
    return Answer(status=status, body=msgspec.json.encode(refusal), headers=(_JSON, code_header, *headers))


def accepts_first(fault: WholeAnswer | None) -> bool:
    """Whether the request takes effect even though a fault replaces its answer."""
    match fault:
        case None | DropAfter():
            return True
        case DropBefore() | SearchDown() | RateLimit():
            return False
        case StatusAnswer() | Hang() | Malformed():
            return fault.accept
        case _:
            assert_never(fault)


def faulty_answer(fault: WholeAnswer, proper: Answer) -> AnyAnswer:
    """The faulty answer that replaces the proper one."""
    match fault:
        case DropBefore() | DropAfter():
            return Dropped(reset=fault.reset)
        case Hang():
            return Hanging(seconds=fault.seconds)
        case StatusAnswer():
            return _status_answer(fault)
        case SearchDown():
            text = fault.message if fault.message is not None else default_text(fault.error_code)
            return refusal_answer(fault.status, Refusal(fault.error_code, text))
        case RateLimit():
            wait = fault.retry_after_s
            headers = () if wait is None else ((b"retry-after", b"%d" % wait),)
            return refusal_answer(429, Refusal(429, default_text(429)), headers)
        case Malformed():
            return _malformed(fault, proper)
        case _:
            assert_never(fault)


def _status_answer(fault: StatusAnswer) -> Answer:
    headers = tuple((name.lower().encode(), value.encode()) for name, value in fault.headers.items())
    if fault.body is None and fault.error_code is not None:
        text = fault.message if fault.message is not None else default_text(fault.error_code)
        return refusal_answer(fault.status, Refusal(fault.error_code, text), headers)
    body = fault.body if fault.body is not None else (fault.message or "")
    return Answer(
        status=fault.status,
        body=body.encode(),
        headers=((b"content-type", fault.content_type.encode()), *headers),
    )


def _malformed(fault: Malformed, proper: Answer) -> AnyAnswer:
    match fault.shape:
        case "truncated_json":
            return Answer(status=200, body=proper.body[: len(proper.body) // 2])
        case "cut_body":
            return CutOff(answer=proper)
        case "wrong_length" | "no_error_code":
            return _altered(fault.shape, msgspec.json.decode(proper.body))
        case "html_502":
            return Answer(status=502, body=_PROXY_PAGE, headers=(_HTML,))
        case "not_json":
            return Answer(status=200, body=b"<html><body>It works!</body></html>", headers=(_HTML,))
        case "empty":
            return Answer(status=200, body=b"")
        case _:
            assert_never(fault.shape)


def _altered(shape: Literal["wrong_length", "no_error_code"], value: Any) -> Answer:
    match shape:
        case "wrong_length":
            return json_answer(200, value[:-1] if isinstance(value, list) else [])
        case "no_error_code":
            return json_answer(200, [*map(_delayed, value)] if isinstance(value, list) else _delayed(value))
        case _:
            assert_never(shape)


def _delayed(item: dict[str, object]) -> dict[str, object]:
    """A success in Postmark's form when delivery may be delayed; refusals stay unchanged."""
    if item.get("ErrorCode") != 0:
        return item
    kept = {name: value for name, value in item.items() if name != "ErrorCode"}
    return {**kept, "Message": DELAYED_MESSAGE}


def _transport(scope: Scope) -> asyncio.Transport:
    transport: asyncio.Transport = scope["state"][TRANSPORT_KEY]
    return transport


async def _disconnected(receive: Receive) -> None:
    """Wait for the end of the connection; uvicorn reports it once the transport is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
