"""Decode Postmark's answers: the one place that decides which answers are Postmark's, and what they mean. Pure.

Proxies and gateways between us and Postmark answer too. So an answer counts only if it has Postmark's shape: a
success is a 200 with the documented body; a refusal is `{ErrorCode, Message}` together with the header
`X-PM-ApiErrorCode` that repeats the code. Any other answer proves nothing about the request.

Source: Postmark's documentation, "API overview" (errors), "Email API", "Messages API", "Message streams API",
"Suppressions API" and "Bounce API".
"""

import uuid
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeVar

import msgspec

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
from broadsheet_delivery.postmark.message import METADATA_ATTEMPT
from broadsheet_delivery.preflight.verdict import AccountRefused, NoSuchStream, NotAsked, Stream, StreamAnswer

ERROR_CODE_HEADER: Final = "X-PM-ApiErrorCode"
SEARCH_PAGE_MAX: Final = 500
BOUNCES_A_PAGE_MAX: Final = 500
_OK: Final = 200
_NOT_FOUND: Final = 404
_UNPROCESSABLE: Final = 422
_DETAIL_MAX: Final = 500
_REFUSAL_MAX: Final = 300
_RETRY_AFTER_MAX_S: Final = 300.0
_NO_ID: Final = uuid.UUID(int=0)
"""What serialisers write for a MessageID that is not there."""

T = TypeVar("T")


class UnusableAnswerError(Exception):
    """There was no answer from Postmark, or no usable one: nothing is known. Its text names no address."""


class HttpAnswer(msgspec.Struct, frozen=True):
    """A complete answer as received. `headers` are case-insensitive (`httpx.Headers`)."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Refusal(msgspec.Struct, frozen=True, rename="pascal"):
    """Postmark's own error, for a whole request."""

    error_code: int
    message: str


class _BatchItem(msgspec.Struct, rename="pascal"):
    # A success may come without ErrorCode; an error comes without MessageID.
    message_id: str | None = msgspec.field(name="MessageID", default=None)
    error_code: int = 0
    message: str | None = None


class FoundMessage(msgspec.Struct, frozen=True):
    """A row of the search: an accepted message that carries our metadata."""

    message_id: uuid.UUID
    metadata: dict[str, str]
    recipients: tuple[str, ...]


class _SearchRow(msgspec.Struct, rename="pascal"):
    message_id: uuid.UUID = msgspec.field(name="MessageID")
    message_stream: str
    metadata: dict[str, str]
    recipients: list[str] = []


class _SearchAnswer(msgspec.Struct, rename="pascal"):
    total_count: int
    messages: list[_SearchRow]


class _Management(msgspec.Struct, rename="pascal"):
    unsubscribe_handling_type: str = "None"


class _StreamBody(msgspec.Struct, rename="pascal"):
    message_stream_type: str
    id: str = msgspec.field(name="ID")
    archived_at: str | None = None
    subscription_management_configuration: _Management = msgspec.field(default_factory=_Management)


class _Details(msgspec.Struct, rename="pascal"):
    metadata: dict[str, str] | None = None


class DumpRow(msgspec.Struct, frozen=True, rename="pascal"):
    """One suppression of a stream; `created_at` as Postmark writes it."""

    email_address: str
    suppression_reason: str
    origin: str
    created_at: str


class _Dump(msgspec.Struct, rename="pascal"):
    suppressions: list[DumpRow]


class BouncePage(msgspec.Struct, frozen=True, rename="pascal"):
    """Bounces, newest first; rows as Postmark shows them, with fields that may be missing."""

    total_count: int
    bounces: list[dict[str, Any]]


class ToldAddress(msgspec.Struct, frozen=True, rename="pascal"):
    """The result for one address when a suppression was made or deleted."""

    email_address: str
    status: Literal["Suppressed", "Deleted", "Failed"]
    message: str | None = None

    @property
    def refusal(self) -> str | None:
        return (self.message or "Postmark refused it.")[:_REFUSAL_MAX] if self.status == "Failed" else None


class _Told(msgspec.Struct, rename="pascal"):
    suppressions: list[ToldAddress]


def refusal_of(answer: HttpAnswer) -> Refusal | None:
    """Postmark's own error in an answer; None when the answer is not Postmark's, or is no error."""
    try:
        refusal = _decode(answer.content, Refusal)
    except UnusableAnswerError:
        return None
    repeated = answer.headers.get(ERROR_CODE_HEADER, "").strip()
    return refusal if repeated == str(refusal.error_code) else None


def read_batch_answer(answer: HttpAnswer, count: int) -> CallResult:
    """The answer to a batch of `count` messages. An answer that is not Postmark's proves nothing, so it is
    `Unknown`.
    """
    if answer.status == _OK:
        return _read_items(answer.content, count)
    refusal = refusal_of(answer)
    reason = _reason(answer.status, refusal)
    code = refusal.error_code if refusal else None
    error_class = classify_response(answer.status, code, refusal.message if refusal else "")
    if error_class is ErrorClass.AMBIGUOUS:
        return Unknown(reason, answer.status, code)
    return NotSent(error_class, reason, answer.status, code, _retry_after_s(answer.headers))


def _read_items(content: bytes, count: int) -> Answered | Unknown:
    try:
        items = _decode(content, list[_BatchItem])
    except UnusableAnswerError as error:
        return Unknown(str(error), _OK)
    if len(items) != count:
        return Unknown(f"{len(items)} results for {count} messages", _OK)
    results: list[ItemResult] = []
    for item in items:
        result = _read_item(item)
        if result is None:
            return Unknown("a result that is neither accepted nor refused", _OK)
        results.append(result)
    return Answered(tuple(results))


def _read_item(item: _BatchItem) -> ItemResult | None:
    """None: an item that Postmark does not write, such as an error with a MessageID."""
    try:
        message_id = uuid.UUID(item.message_id) if item.message_id else _NO_ID
    except ValueError:
        return None
    if item.error_code == 0:
        return AcceptedItem(message_id) if message_id != _NO_ID else None
    if item.error_code < 0 or item.message is None or message_id != _NO_ID:
        return None
    return RejectedItem(item.error_code, item.message[:_DETAIL_MAX])


def read_search_answer(answer: HttpAnswer, *, attempt_id: uuid.UUID, stream: str) -> list[FoundMessage]:
    """Every accepted message of one attempt, as the search shows it: all of them, or an error.

    What the answer does not show may be taken for not sent, so it must be complete and about what was asked: as
    many different messages as its `TotalCount` says, no more than fit on the page, each of the stream and the
    attempt.

    Raises:
        UnusableAnswerError: it is not such an answer.
    """
    found = _decode(_success(answer), _SearchAnswer)
    if not 0 <= found.total_count <= SEARCH_PAGE_MAX:
        raise UnusableAnswerError(f"the search counts {found.total_count} messages")
    if any(row.message_stream != stream for row in found.messages):
        raise UnusableAnswerError("the search shows another stream")
    if any(row.metadata.get(METADATA_ATTEMPT) != str(attempt_id) for row in found.messages):
        raise UnusableAnswerError("the search shows another call's messages")
    shown = len({row.message_id for row in found.messages})
    if shown != found.total_count or shown != len(found.messages):
        raise UnusableAnswerError(f"the search counts {found.total_count} messages and shows {shown}")
    return [FoundMessage(row.message_id, row.metadata, tuple(row.recipients)) for row in found.messages]


def read_stream_answer(answer: HttpAnswer) -> StreamAnswer:
    """The answer to `GET /message-streams/{id}`."""
    if answer.status == _OK:
        try:
            found = _decode(answer.content, _StreamBody)
        except UnusableAnswerError as error:
            return NotAsked(str(error))
        return Stream(
            found.id,
            found.message_stream_type,
            found.subscription_management_configuration.unsubscribe_handling_type,
            found.archived_at is not None,
        )
    refusal = refusal_of(answer)
    reason = _reason(answer.status, refusal)
    if refusal is None:
        return NotAsked(reason)
    match classify_response(answer.status, refusal.error_code, refusal.message):
        case ErrorClass.ACCOUNT:
            return AccountRefused(reason)
        case ErrorClass.CONFIGURATION:
            return NoSuchStream(reason)
        case _:
            return NotAsked(reason)


def read_metadata(answer: HttpAnswer) -> dict[str, str]:
    """The answer to `GET /messages/outbound/{id}/details`: what a message was sent with.

    Empty when it has none, or when Postmark says that it does not keep the message. Raises UnusableAnswerError.
    """
    if answer.status in {_NOT_FOUND, _UNPROCESSABLE} and refusal_of(answer) is not None:
        return {}
    return _decode(_success(answer), _Details).metadata or {}


def read_dump(answer: HttpAnswer) -> list[DumpRow]:
    """The answer to `GET …/suppressions/dump`, which has no pages. Raises UnusableAnswerError."""
    return _decode(_success(answer), _Dump).suppressions


def read_bounce_page(answer: HttpAnswer, *, offset: int) -> BouncePage:
    """The answer to `GET /bounces` with a full page asked for. Raises UnusableAnswerError, too for a cut page."""
    page = _decode(_success(answer), BouncePage)
    expected = min(BOUNCES_A_PAGE_MAX, max(0, page.total_count - offset))
    if len(page.bounces) != expected:
        raise UnusableAnswerError(
            f"a page of bounces shows {len(page.bounces)} of {page.total_count} from {offset}, not {expected}"
        )
    return page


def read_told(answer: HttpAnswer) -> list[ToldAddress]:
    """The answer to `POST …/suppressions` and `…/suppressions/delete`. Raises UnusableAnswerError."""
    return _decode(_success(answer), _Told).suppressions


def _success(answer: HttpAnswer) -> bytes:
    """The body of a 200. Every success of Postmark's is exactly that."""
    if answer.status != _OK:
        refusal = refusal_of(answer)
        # The code alone: Postmark's texts repeat addresses.
        raise UnusableAnswerError(f"status {answer.status}" + (f", code {refusal.error_code}" if refusal else ""))
    return answer.content


def _decode(content: bytes, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # the last for a body nested very deep
        raise UnusableAnswerError("unreadable answer") from error


def _reason(status: int, refusal: Refusal | None) -> str:
    if refusal is None:
        return f"HTTP {status}, an answer that is not Postmark's"
    return f"HTTP {status}, code {refusal.error_code}: {refusal.message[:_DETAIL_MAX]}"


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """`Retry-After` in seconds where it comes (Postmark documents none), within a bound."""
    value = headers.get("Retry-After", "")
    return min(float(value), _RETRY_AFTER_MAX_S) if value.isascii() and value.isdigit() else None
