"""A proxy between the senders and the provider that, when told to, answers in the provider's place.

    proxy = AnsweringProxy(port, target_port)
    await proxy.start()
    proxy.answer(OwnAnswer(302, PAGE), sending=1.0, forwards=True)    # Postmark accepts, and the proxy says 302
    proxy.pass_on()

It speaks just enough HTTP/1.1 (RFC 9112) for one client and one server of ours: a request is read whole, forwarded on
a connection of its own, and the answer read whole. It shares no code with the sandbox, so that a mistake of the sandbox
about errors is not repeated here.
"""

import asyncio
import random
from typing import Final

import msgspec

from broadsheet_local.embedded.ports import LOOPBACK

HEAD_BYTES_MAX: Final = 64 * 1024
BODY_BYTES_MAX: Final = 64 * 1024 * 1024
TIMEOUT_S: Final = 60.0
_END_OF_HEAD: Final = b"\r\n\r\n"
_BODILESS: Final = frozenset({204, 304})
_SENDING_PATH: Final = b"/email"

PAGE: Final = (
    b"<html>\r\n<head><title>Answered</title></head>\r\n<body><center><h1>Answered</h1></center></body>\r\n</html>\r\n"
)


class OwnAnswer(msgspec.Struct, frozen=True):
    """An answer of the proxy's own; an empty page means no body."""

    status: int
    page: bytes = b""

    def encoded(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} Answered", "Server: a-proxy", "Connection: close"]
        if self.status not in _BODILESS:
            lines.append(f"Content-Length: {len(self.page)}")
            if self.page:
                lines.append("Content-Type: text/html")
        if self.status == 302:  # noqa: PLR2004  # a redirect says where to; nobody may follow it
            lines.append("Location: /sign-in")
        head = "\r\n".join(lines).encode() + _END_OF_HEAD
        return head if self.status in _BODILESS else head + self.page


class _Plan(msgspec.Struct, frozen=True):
    answers: tuple[OwnAnswer, ...]
    sending: float
    reading: float
    forwards: bool
    random: random.Random


class AnsweringProxy:
    """`answered` counts the sending requests that it answered itself since it was last told to."""

    def __init__(self, port: int, target_port: int) -> None:
        self.port = port
        self.answered = 0
        self._target_port = target_port
        self._plan: _Plan | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port, limit=HEAD_BYTES_MAX)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def answer(
        self, *answers: OwnAnswer, sending: float, reading: float = 0.0, forwards: bool = True, seed: int = 0
    ) -> None:
        """From now on answer this share of the requests that send, and of the others, with one of `answers`.

        `forwards`: the provider gets the request first, and its answer is thrown away.
        """
        self.answered = 0
        chosen = random.Random(seed)  # noqa: S311  # a seed must give the same faults again
        self._plan = _Plan(answers, sending, reading, forwards, chosen)

    def pass_on(self) -> None:
        """Stop answering; everything is forwarded."""
        self._plan = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._serve(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            writer.transport.abort()  # one side broke off or sent what is not understood; closing shows it to the other
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection."""
        head = await reader.readuntil(_END_OF_HEAD)
        body = await _read_body(reader, head)
        plan = self._plan
        own = None if plan is None else self._own_answer(plan, head)
        theirs = b""
        if plan is None or own is None or plan.forwards:
            theirs = await self._forward(head, body)
        writer.write(theirs if own is None else own.encoded())
        await writer.drain()

    def _own_answer(self, plan: _Plan, head: bytes) -> OwnAnswer | None:
        sends = head.split(b" ", 2)[1].startswith(_SENDING_PATH)
        if plan.random.random() >= (plan.sending if sends else plan.reading):
            return None
        self.answered += sends
        return plan.random.choice(plan.answers)

    async def _forward(self, head: bytes, body: bytes) -> bytes:
        """The target's whole answer, to a connection that ends with it."""
        reader, writer = await asyncio.open_connection(LOOPBACK, self._target_port, limit=HEAD_BYTES_MAX)
        try:
            writer.write(_closing(head) + body)
            await writer.drain()
            answered = await reader.readuntil(_END_OF_HEAD)
            return _closing(answered) + await _read_body(reader, answered)
        finally:
            writer.close()


async def _read_body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """Raises ValueError when the body's length is not stated or too large: both sides state it."""
    fields = _fields(head)
    if b"transfer-encoding" in fields:
        raise ValueError("chunked")
    length = int(fields.get(b"content-length", b"0"))
    if length > BODY_BYTES_MAX:
        raise ValueError("too large")
    return await reader.readexactly(length)


def _fields(head: bytes) -> dict[bytes, bytes]:
    lines = head.removesuffix(_END_OF_HEAD).split(b"\r\n")[1:]
    return {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}


def _closing(head: bytes) -> bytes:
    """The head, with its `Connection` header replaced by `Connection: close`."""
    lines = head.removesuffix(_END_OF_HEAD).split(b"\r\n")
    kept = [line for line in lines if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([*kept, b"Connection: close"]) + _END_OF_HEAD
