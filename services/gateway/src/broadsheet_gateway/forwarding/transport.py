"""How a request goes to a service and its answer comes back, without the library that carries them.

`aiohttp_transport.py` is the one that the gateway uses; tests carry requests to services in their own process.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Final, Protocol

import msgspec

Body = bytes | AsyncIterator[bytes]

_SUCCESS_STATUSES: Final = range(200, 300)


class TransportError(Exception):
    """The service gave no answer, or broke it off. `was_never_sent`: no byte of the request can have reached it.
    `is_timeout`: it is there, and was silent for too long.
    """

    def __init__(self, reason: str, *, was_never_sent: bool = False, is_timeout: bool = False) -> None:
        super().__init__(reason)
        self.was_never_sent = was_never_sent
        self.is_timeout = is_timeout


class SentRequest(msgspec.Struct, frozen=True):
    """`target` is path and query, percent-encoded; it is sent as it stands. `silence_max_s`: the longest time without
    a byte of the answer.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: Body
    silence_max_s: float


class UpstreamAnswer(Protocol):
    """An answer that has begun. Whoever got it calls `aclose`."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Names in lower case."""
        ...

    def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes, in the coding in which it was sent. Raises TransportError if it breaks off."""
        ...

    async def read(self) -> bytes:
        """The whole body, for one whose length is known. Raises TransportError if it breaks off."""
        ...

    async def aclose(self) -> None: ...


class Transport(Protocol):
    """The connections to one service."""

    async def send(self, request: SentRequest) -> UpstreamAnswer:
        """Returns when the answer begins. Raises TransportError."""
        ...

    async def aclose(self) -> None: ...


def header_of(answer: UpstreamAnswer, name: bytes) -> str:
    """The header's value, or an empty text. `name` in lower case."""
    return next((value.decode("latin-1") for given, value in answer.headers if given == name), "")


def is_success(answer: UpstreamAnswer) -> bool:
    return answer.status in _SUCCESS_STATUSES


def length_of(answer: UpstreamAnswer) -> int | None:
    """The length of the body in bytes, if the service said it."""
    said = header_of(answer, b"content-length")
    return int(said) if said.isascii() and said.isdigit() else None
