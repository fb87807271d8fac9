"""Postmark's API as we use it: batches out, and the message search.

No SDK: the official one sends a message again after a time-out. The result of a call is a type, told apart at the byte
where certainty ends: an error before the request was written is `NotSent`; from the first byte on, anything but a
complete answer is `Unknown`. Facts: Postmark's documentation, "Email API" and "Messages API".
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import httpx
import msgspec

from broadsheet_delivery.call_result import (
    AcceptedItem,
    Answered,
    CallResult,
    ItemResult,
    NotSent,
    RejectedItem,
    Unknown,
)
from broadsheet_delivery.error_class import ErrorClass, classify_response
from broadsheet_delivery.message import METADATA_ATTEMPT

BATCH_MAX: Final = 500
_PIECE_BYTES: Final = 256 * 1024
_SEARCH_PAGE: Final = 500
_DETAIL_MAX: Final = 500
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


class _SearchRow(msgspec.Struct, rename="pascal"):
    message_id: str = msgspec.field(name="MessageID")
    metadata: dict[str, str] | None = None
    recipients: list[str] = []


class _SearchAnswer(msgspec.Struct, rename="pascal"):
    total_count: int
    messages: list[_SearchRow]


class _BatchBody(httpx.AsyncByteStream):
    """A JSON array of encoded messages, written in pieces: whole, it would be in memory three times over."""

    def __init__(self, encoded: Sequence[bytes]) -> None:
        self._encoded = encoded
        self.length_bytes = sum(map(len, encoded)) + len(encoded) + 1

    def let_go(self) -> None:
        """In httpx a request and its response refer to each other, so a body would stay until the collector's next
        full round: tens of megabytes of mails that were sent long ago.
        """
        self._encoded = ()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        piece: list[bytes] = []
        size, before = 0, b"["
        for message in self._encoded:
            piece += (before, message)
            size += len(message)
            before = b","
            if size >= _PIECE_BYTES:
                yield b"".join(piece)
                piece, size = [], 0
        yield b"".join((*piece, b"]"))


class PostmarkClient:
    """One server's API. `call_timeout_s` bounds a whole call, from connect to the last byte of the answer."""

    def __init__(self, client: httpx.AsyncClient, *, base_url: str, token: str, call_timeout_s: float) -> None:
        self._client = client
        self._base_url = base_url
        self._call_timeout_s = call_timeout_s
        self._headers = {
            "X-Postmark-Server-Token": token,
            "Accept": "application/json",
            "Content-Type": "application/json",
        }

    async def send_batch(self, encoded: Sequence[bytes]) -> CallResult:
        """`POST /email/batch` with 1 to 500 encoded messages. Never raises for what the network or Postmark does."""
        body = _BatchBody(encoded)
        headers = {**self._headers, "Content-Length": str(body.length_bytes)}
        try:
            async with asyncio.timeout(self._call_timeout_s):
                response = await self._client.post(f"{self._base_url}/email/batch", content=body, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            return NotSent(ErrorClass.TRANSIENT, f"no connection: {type(error).__name__}")
        except TimeoutError:
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
