"""Sends large bodies in pieces, so that it can be seen how far a client has read."""

from litestar.types import ASGIApp, Message, Receive, Scope, Send

PIECE_BYTES = 64 * 1024


def in_pieces(app: ASGIApp) -> ASGIApp:
    """Bodies go out in pieces of `PIECE_BYTES`, the next when the one before is nearly sent. uvloop counts a write as
    unsent until its last byte is sent, so with larger ones a steady reader would seem to read nothing.
    """

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_pieces(message: Message) -> None:
            if message["type"] != "http.response.body" or len(message["body"]) <= PIECE_BYTES:
                await send(message)
                return
            body, more = message["body"], message.get("more_body", False)
            for start in range(0, len(body), PIECE_BYTES):
                end = start + PIECE_BYTES
                await send({"type": message["type"], "body": body[start:end], "more_body": more or end < len(body)})

        await app(scope, receive, send_pieces)

    return wrapped
