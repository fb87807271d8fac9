"""Postmark's API as we use it: batches out, the message search, and what a stream is.

No SDK: the official one sends a message again after a time-out. The result of a call is a type, told apart at the byte
where certainty ends: an error before the request was written is `NotSent`; from the first byte on, anything but a
complete answer is `Unknown`. Facts: Postmark's documentation, "Email API" and "Messages API".
"""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec

from broadsheet_delivery.postmark.boot_clock import boot_time_s
from broadsheet_delivery.postmark.call_result import (
    AcceptedItem,
    Answered,
    CallResult,
    ItemResult,
    NotSent,
    RejectedItem,
    Unknown,
)
from broadsheet_delivery.postmark.error_class import ErrorClass, classify_response
from broadsheet_delivery.postmark.message import METADATA_ATTEMPT, METADATA_DELIVERY
from broadsheet_delivery.postmark.request_body import HeldBody, TooLateError, WritingCall, writing
from broadsheet_delivery.preflight.verdict import AccountRefused, NoSuchStream, NotAsked, Stream, StreamAnswer

BATCH_MAX: Final = 500
_SEARCH_PAGE: Final = 500
_DETAILS_TIMEOUT_S: Final = 10.0
_DETAIL_MAX: Final = 500
_READ_TIMEOUT_S: Final = 10.0
_RETRY_AFTER_MAX_S: Final = 300.0


class FoundMessage(msgspec.Struct, frozen=True):
    """A row of the search that carries our metadata."""

    message_id: uuid.UUID
    metadata: dict[str, str]
    recipients: tuple[str, ...]


class SearchUnavailableError(Exception):
    """The search gave no usable answer; it says nothing about what was sent."""


class _AnswerItem(msgspec.Struct, rename="pascal"):
    # A success may come without ErrorCode; an error without MessageID.
    message_id: str | None = msgspec.field(name="MessageID", default=None)
    error_code: int = 0
    message: str = ""


class _ErrorBody(msgspec.Struct, rename="pascal"):
    error_code: int
    message: str = ""


class _Management(msgspec.Struct, rename="pascal"):
    unsubscribe_handling_type: str = "None"


class _StreamBody(msgspec.Struct, rename="pascal"):
    message_stream_type: str
    id: str = msgspec.field(name="ID")
    archived_at: str | None = None
    subscription_management_configuration: _Management = msgspec.field(default_factory=_Management)


class _SearchRow(msgspec.Struct, rename="pascal"):
    message_id: str = msgspec.field(name="MessageID")
    metadata: dict[str, str] | None = None
    recipients: list[str] = []


class _SearchAnswer(msgspec.Struct, rename="pascal"):
    total_count: int
    messages: list[_SearchRow]


class _Details(msgspec.Struct, rename="pascal"):
    metadata: dict[str, str] | None = None


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
        return read_batch_answer(response, len(encoded))

    async def search(self, *, attempt_id: uuid.UUID, stream: str) -> list[FoundMessage]:
        """Every accepted message of one attempt (`GET /messages/outbound`, one metadata field a search).

        Without `messagestream` Postmark would search `outbound` alone, and a broadcast message would look unsent.

        Raises:
            SearchUnavailableError: the answer was not a complete 200.
        """
        try:
            async with asyncio.timeout(self._call_timeout_s):
                response = await self._client.get(
                    f"{self._base_url}/messages/outbound",
                    params={
                        "count": _SEARCH_PAGE,
                        "offset": 0,
                        "messagestream": stream,
                        f"metadata_{METADATA_ATTEMPT}": str(attempt_id),
                    },
                    headers=self._headers,
                )
        except (httpx.HTTPError, TimeoutError) as error:
            raise SearchUnavailableError(type(error).__name__) from error
        if response.status_code != httpx.codes.OK:
            raise SearchUnavailableError(f"status {response.status_code}")
        try:
            answer = msgspec.json.decode(response.content, type=_SearchAnswer)
            # The filter is checked on our side too: a search that ignored it must not settle anything.
            return [
                FoundMessage(uuid.UUID(row.message_id), row.metadata, tuple(row.recipients))
                for row in answer.messages
                if row.metadata and row.metadata.get(METADATA_ATTEMPT) == str(attempt_id)
            ]
        except (msgspec.DecodeError, ValueError) as error:
            raise SearchUnavailableError("unreadable answer") from error

    async def read_stream(self, stream: str) -> StreamAnswer:
        """`GET /message-streams/{id}`. Never raises for what the network or Postmark does."""
        try:
            async with asyncio.timeout(min(self._call_timeout_s, _READ_TIMEOUT_S)):
                response = await self._client.get(
                    f"{self._base_url}/message-streams/{quote(stream, safe='')}", headers=self._headers
                )
        except (httpx.HTTPError, TimeoutError) as error:
            return NotAsked(f"no answer: {type(error).__name__}")
        return read_stream_answer(response)

    async def delivery_of_message(self, message_id: uuid.UUID) -> str | None:
        """Our id of the delivery behind a MessageID (`GET /messages/outbound/{id}/details`).

        None: not a newsletter's mail, or Postmark does not have it (any more).

        Raises:
            SearchUnavailableError: there was no usable answer.
        """
        try:
            async with asyncio.timeout(_DETAILS_TIMEOUT_S):
                response = await self._client.get(
                    f"{self._base_url}/messages/outbound/{message_id}/details", headers=self._headers
                )
        except (httpx.HTTPError, TimeoutError) as error:
            raise SearchUnavailableError(type(error).__name__) from error
        if response.status_code in {httpx.codes.NOT_FOUND, httpx.codes.UNPROCESSABLE_ENTITY}:
            return None
        if response.status_code != httpx.codes.OK:
            raise SearchUnavailableError(f"status {response.status_code}")
        answer: _Details | None = _decode(response.content, _Details)
        if answer is None:
            raise SearchUnavailableError("unreadable answer")
        return (answer.metadata or {}).get(METADATA_DELIVERY)


def read_stream_answer(response: httpx.Response) -> StreamAnswer:
    """Turn the answer to `GET /message-streams/{id}` into a type; pure but for reading the response."""
    if response.status_code == httpx.codes.OK:
        found: _StreamBody | None = _decode(response.content, _StreamBody)
        if found is None:
            return NotAsked("unreadable answer")
        return Stream(
            found.id,
            found.message_stream_type,
            found.subscription_management_configuration.unsubscribe_handling_type,
            found.archived_at is not None,
        )
    body: _ErrorBody | None = _decode(response.content, _ErrorBody)
    code, message = (body.error_code, body.message) if body else (None, "")
    reason = f"HTTP {response.status_code}" + (f", code {code}: {message[:_DETAIL_MAX]}" if code is not None else "")
    match classify_response(response.status_code, code, message):
        case ErrorClass.ACCOUNT:
            return AccountRefused(reason)
        # Only Postmark's own word about the stream counts: a proxy's page says nothing about it.
        case ErrorClass.CONFIGURATION if code is not None:
            return NoSuchStream(reason)
        case _:
            return NotAsked(reason)


def _decode(content: bytes, type_: Any) -> Any | None:
    try:
        return msgspec.json.decode(content, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def read_batch_answer(response: httpx.Response, count: int) -> CallResult:
    """Turn the answer to a batch of `count` messages into a result; pure but for reading the response."""
    if response.status_code == httpx.codes.OK:
        return _read_items(response.content, count)
    body: _ErrorBody | None = _decode(response.content, _ErrorBody)
    code = body.error_code if body else None
    message = body.message if body else ""
    error_class = classify_response(response.status_code, code, message)
    reason = f"HTTP {response.status_code}" + (f", code {code}: {message[:_DETAIL_MAX]}" if code is not None else "")
    if error_class is ErrorClass.AMBIGUOUS:
        return Unknown(reason, response.status_code, code)
    return NotSent(error_class, reason, response.status_code, code, _retry_after_s(response))


def _read_items(content: bytes, count: int) -> Answered | Unknown:
    items: list[_AnswerItem] | None = _decode(content, list[_AnswerItem])
    if items is None:
        return Unknown("unreadable answer", 200)
    if len(items) != count:
        return Unknown(f"{len(items)} results for {count} messages", 200)
    results: list[ItemResult] = []
    for item in items:
        if item.error_code == 0:
            try:
                results.append(AcceptedItem(uuid.UUID(item.message_id or "")))
            except ValueError:
                return Unknown("a result without a MessageID or an error", 200)
        else:
            results.append(RejectedItem(item.error_code, item.message[:_DETAIL_MAX]))
    return Answered(tuple(results))


def _retry_after_s(response: httpx.Response) -> float | None:
    """`Retry-After` in seconds where it comes (Postmark documents none), within a bound."""
    value = response.headers.get("retry-after", "")
    return min(float(value), _RETRY_AFTER_MAX_S) if value.isdigit() else None
