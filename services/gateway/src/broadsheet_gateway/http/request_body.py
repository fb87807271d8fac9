"""Reading a request's body: bounded in bytes and in time, whatever the client announces."""

import asyncio
from collections.abc import AsyncIterator, Mapping

from litestar.types import Receive

from broadsheet_common.http.problems import BodyTooLargeError, MalformedRequestError, ProblemError, RequestTimeoutError


class BodyTimeoutError(RequestTimeoutError):
    title = "The request's body did not arrive in time"


class ClientGoneError(ProblemError):
    """The client closed the connection: nobody reads this answer, but the log shows its status."""

    slug, title, status = "client-gone", "The client closed the connection", 400


def announced_length(headers: Mapping[str, str]) -> int | None:
    """`Content-Length`, or None when there is none (no body, or a chunked one)."""
    text = headers.get("content-length")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise MalformedRequestError("The Content-Length is not a number.")
    return int(text)


async def stream_body(
    receive: Receive, *, max_bytes: int, timeout_s: float, idle_s: float | None = None
) -> AsyncIterator[bytes]:
    """The body's pieces. `timeout_s` bounds the whole of it, `idle_s` (the same, if it is not given) each piece.

    Raises:
        BodyTooLargeError, BodyTimeoutError, ClientGoneError: also after some pieces were given.
    """
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + timeout_s
    total = 0
    while True:
        try:
            async with asyncio.timeout_at(min(ends_at, loop.time() + (idle_s or timeout_s))):
                message = await receive()
        except TimeoutError as error:
            raise BodyTimeoutError from error
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        if message["type"] != "http.request":
            raise MalformedRequestError
        piece = message["body"]
        total += len(piece)
        if total > max_bytes:
            raise BodyTooLargeError(f"At most {max_bytes} bytes are accepted here.")
        if piece:
            yield piece
        if not message.get("more_body", False):
            return


async def read_body(receive: Receive, headers: Mapping[str, str], *, max_bytes: int, timeout_s: float) -> bytes:
    """The whole body; one whose announced length is too large is refused before it is read."""
    if (announced_length(headers) or 0) > max_bytes:
        raise BodyTooLargeError(f"At most {max_bytes} bytes are accepted here.")
    return b"".join([piece async for piece in stream_body(receive, max_bytes=max_bytes, timeout_s=timeout_s)])
