"""One call to a receiver: bounded in time and in what is read, and only to an address that the policy allows.

The address is checked where each socket is made (`broadsheet_common.outgoing`). No redirect is followed, no proxy of
the environment is used, and no cookie is kept.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import aiohttp
from yarl import URL

from broadsheet_common.outgoing.guarded_session import AddressRefusedError, Lookup, guarded_session, look_up
from broadsheet_common.outgoing.target import TargetPolicy
from broadsheet_subscriptions.webhooks.endpoints.endpoint import ENDPOINTS_MAX
from broadsheet_subscriptions.webhooks.sending.answer import ANSWER_READ_BYTES_MAX, Answer, Answered, NotAnswered

KEPT_CONNECTION_S: Final = 2.0
"""A connection idle for longer is not used again: servers often close theirs after about five seconds."""
_RETRY_AFTER_DIGITS_MAX: Final = 9


class EndpointCaller:
    """Calls receivers over one pool of connections, which exists while the caller is `opened`.

    `timeout_s` bounds a call up to its status, and then again the reading of the body's beginning. `ssl_context`
    None: the system's certificates, names verified. The number of calls at once is not bounded here, but by the
    sender.
    """

    def __init__(
        self,
        policy: TargetPolicy,
        *,
        timeout_s: float,
        lookup: Lookup = look_up,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._policy = policy
        self._timeout_s = timeout_s
        self._lookup = lookup
        self._ssl_context = ssl_context
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator["EndpointCaller"]:
        try:
            async with guarded_session(
                self._policy,
                threads_max=ENDPOINTS_MAX,
                kept_connection_s=KEPT_CONNECTION_S,
                lookup=self._lookup,
                ssl_context=self._ssl_context,
            ) as self._session:
                yield self
        finally:
            self._session = None

    async def call(self, url: URL, *, headers: Mapping[str, str], body: bytes) -> tuple[Answer, int]:
        """The answer, and how long it took in milliseconds. Never raises, whatever the receiver does."""
        began = time.monotonic()
        answer = await self._call(url, headers, body)
        return answer, round((time.monotonic() - began) * 1000)

    async def _call(self, url: URL, headers: Mapping[str, str], body: bytes) -> Answer:
        if self._session is None:
            raise RuntimeError("calls are made while the caller is open")
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._session.post(url, data=body, headers=headers, allow_redirects=False)
        except TimeoutError:
            return NotAnswered("timed_out")
        except aiohttp.ClientConnectorDNSError:
            return NotAnswered("name_not_found")
        except aiohttp.ClientSSLError:
            return NotAnswered("tls_failed")
        except aiohttp.ClientConnectorError as error:
            return NotAnswered(
                "address_refused" if isinstance(error.os_error, AddressRefusedError) else "not_connected"
            )
        except aiohttp.InvalidURL:
            return NotAnswered("url_refused")
        except (aiohttp.ClientError, OSError):
            return NotAnswered("answer_unreadable")
        try:
            return Answered(
                status=response.status,
                body=await self._read_beginning(response),
                retry_after_s=_seconds(response.headers.get("Retry-After", "")),
            )
        finally:
            response.close()

    async def _read_beginning(self, response: aiohttp.ClientResponse) -> bytes:
        """The status was received already, so a body that is late or breaks off does not change the result."""
        received = bytearray()
        try:
            async with asyncio.timeout(self._timeout_s):
                while len(received) < ANSWER_READ_BYTES_MAX and not response.content.at_eof():
                    received += await response.content.read(ANSWER_READ_BYTES_MAX - len(received))
        except (TimeoutError, aiohttp.ClientError, OSError):
            pass
        else:
            if response.content.at_eof():
                response.release()
        return bytes(received)


def _seconds(text: str) -> float | None:
    """`Retry-After` as a number of seconds. A date is not honoured, since the two clocks may differ."""
    return float(text) if text.isascii() and text.isdigit() and len(text) <= _RETRY_AFTER_DIGITS_MAX else None


def open_caller(
    policy: TargetPolicy,
    *,
    timeout_s: float,
    lookup: Lookup = look_up,
    ssl_context: ssl.SSLContext | None = None,
) -> AbstractAsyncContextManager[EndpointCaller]:
    """A caller, open for as long as the context lasts."""
    return EndpointCaller(policy, timeout_s=timeout_s, lookup=lookup, ssl_context=ssl_context).opened()
