"""Postmark's API as we use it: batches, the message search, message streams.

No SDK: the official one sends a message again after a time-out. The result of a call is a type, decided at the
byte where certainty ends: an error before the request was written is `NotSent`; from the first byte on, only
Postmark's own answer counts (see `answer`), and anything else is `Unknown`. Facts: Postmark's documentation,
"Email API" and "Messages API".
"""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import quote

import httpx

from broadsheet_delivery.postmark.answer import (
    SEARCH_PAGE_MAX,
    FoundMessage,
    HttpAnswer,
    UnusableAnswerError,
    read_batch_answer,
    read_search_answer,
    read_stream_answer,
)
from broadsheet_delivery.postmark.boot_clock import boot_time_s
from broadsheet_delivery.postmark.call_result import CallResult, NotSent, Unknown
from broadsheet_delivery.postmark.error_class import ErrorClass
from broadsheet_delivery.postmark.get_answer import get_from_postmark
from broadsheet_delivery.postmark.message import METADATA_ATTEMPT
from broadsheet_delivery.postmark.request_body import HeldBody, TooLateError, WritingCall, writing
from broadsheet_delivery.preflight.verdict import NotAsked, StreamAnswer

BATCH_MAX: Final = 500
SEARCH_TIMEOUT_S: Final = 20.0
"""A search answers quickly or not at all; its callers must not wait as long as a batch may take."""
_READ_TIMEOUT_S: Final = 10.0


class PostmarkClient:
    """One server's API. `call_timeout_s` bounds a whole call, from connect to the last byte of the answer.

    `clock_s` is the clock that the writing of a body is measured by. That a stopped process completes no request needs
    a `client` over a `WatchedTransport`.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        base_url: str,
        token: str,
        call_timeout_s: float,
        clock_s: Callable[[], float] = boot_time_s,
    ) -> None:
        self._client = client
        self._clock_s = clock_s
        self._base_url = base_url
        self._call_timeout_s = call_timeout_s
        self._headers = {
            "X-Postmark-Server-Token": token,
            "Accept": "application/json",
            "Content-Type": "application/json",
        }

    async def send_batch(self, encoded: Sequence[bytes], *, until_s: float | None = None) -> CallResult:
        """`POST /email/batch` with 1 to 500 encoded messages. Never raises for what the network or Postmark does.

        The request is not completed from `until_s` on (on this client's clock); None: a call's whole time from now.
        """
        now_s = self._clock_s()
        until_s = now_s + self._call_timeout_s if until_s is None else until_s
        call = WritingCall(until_s=until_s, clock_s=self._clock_s)
        body = HeldBody(encoded, start=b"[", separator=b",", end=b"]", call=call)
        headers = self._headers | {"Content-Length": str(body.length_bytes)}
        try:
            with writing(call):
                async with asyncio.timeout(until_s - now_s):
                    response = await self._client.post(f"{self._base_url}/email/batch", content=body, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            return NotSent(ErrorClass.TRANSIENT, f"no connection: {type(error).__name__}")
        except (TimeoutError, TooLateError):
            return Unknown(f"no answer within {self._call_timeout_s:g} s")
        except httpx.HTTPError as error:
            return Unknown(f"connection lost: {type(error).__name__}")
        finally:
            body.let_go()
        answer = HttpAnswer(response.status_code, response.headers, response.content)
        return read_batch_answer(answer, len(encoded))

    @property
    def search_timeout_s(self) -> float:
        """How long one search may take."""
        return min(self._call_timeout_s, SEARCH_TIMEOUT_S)

    async def search(self, *, attempt_id: uuid.UUID, stream: str) -> list[FoundMessage]:
        """Every accepted message of one attempt (`GET /messages/outbound`, one metadata field a search).

        Without `messagestream` Postmark would search `outbound` alone, and a broadcast message would look unsent.

        Raises:
            UnusableAnswerError: there was no answer in time, or not a whole one to this question.
        """
        answer = await get_from_postmark(
            self._client,
            f"{self._base_url}/messages/outbound",
            params={
                "count": SEARCH_PAGE_MAX,
                "offset": 0,
                "messagestream": stream,
                f"metadata_{METADATA_ATTEMPT}": str(attempt_id),
            },
            headers=self._headers,
            timeout_s=self.search_timeout_s,
        )
        return read_search_answer(answer, attempt_id=attempt_id, stream=stream)

    async def read_stream(self, stream: str) -> StreamAnswer:
        """`GET /message-streams/{id}`. Never raises for what the network or Postmark does."""
        try:
            answer = await get_from_postmark(
                self._client,
                f"{self._base_url}/message-streams/{quote(stream, safe='')}",
                headers=self._headers,
                timeout_s=min(self._call_timeout_s, _READ_TIMEOUT_S),
            )
        except UnusableAnswerError as error:
            return NotAsked(str(error))
        return read_stream_answer(answer)
