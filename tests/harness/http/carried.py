"""The gateway's requests to services, carried by httpx: to apps in this process, or to a test's stand-ins."""

from collections.abc import AsyncIterator

import httpx

from broadsheet_gateway.forwarding.transport import SentRequest, TransportError

_BASE_URL = "http://service"


class CarriedByHttpx:
    """A gateway's transport to one service."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.inner = inner

    async def send(self, request: SentRequest) -> "CarriedAnswer":
        sent = httpx.Request(
            request.method, _BASE_URL + request.target, headers=dict(request.headers), content=request.body
        )
        try:
            return CarriedAnswer(await self.inner.handle_async_request(sent))
        except httpx.TransportError as error:
            raise _as_transport_error(error) from error

    async def aclose(self) -> None:
        await self.inner.aclose()


class CarriedAnswer:
    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers = [(name.lower(), value) for name, value in response.headers.raw]

    async def pieces(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._response.aiter_raw():
                yield piece
        except httpx.TransportError as error:
            raise _as_transport_error(error) from error

    async def read(self) -> bytes:
        return b"".join([piece async for piece in self.pieces()])

    async def aclose(self) -> None:
        await self._response.aclose()


def _as_transport_error(error: httpx.TransportError) -> TransportError:
    return TransportError(
        type(error).__name__,
        was_never_sent=isinstance(error, httpx.ConnectError | httpx.ConnectTimeout),
        is_timeout=isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout),
    )
