"""One event from Postmark, read from a webhook's body. Pure.

Bodies are read tolerantly: fields may be missing, null or of another type, and unknown record types are events
too. What is stored holds no address and no text of the mail. Source: Postmark's documentation, "Webhooks".
"""

import hashlib
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from broadsheet_common.contracts.suppression import SuppressionOrigin
from broadsheet_common.mail.email_address import EmailAddress, names_exactly
from broadsheet_common.process.redaction import redact
from broadsheet_delivery.composing.compose_mail import DELIVERY_ID_SEPARATOR
from broadsheet_delivery.postmark.message import METADATA_ATTEMPT, METADATA_DELIVERY, METADATA_MAIL
from broadsheet_delivery.reports.link_name import LINK_LENGTH_MAX
from broadsheet_delivery.reports.machine_rules import rule_of_agent
from broadsheet_delivery.suppressions.suppression import DEFAULT_STREAM, CountSoftBounce, Effect, Lift, Suppress

_TEXT_MAX: Final = 300
_NAME_MAX: Final = 100
_AGENT_MAX: Final = 500
_EMAIL_MAX: Final = 254
_DIGITS_MAX: Final = 18
_SEQ_MAX: Final = 2**31 - 1
_UNKNOWN: Final = "unknown"
_TIME_FIELDS: Final = {
    "Delivery": "DeliveredAt",
    "Bounce": "BouncedAt",
    "SpamComplaint": "BouncedAt",
    "Open": "ReceivedAt",
    "Click": "ReceivedAt",
    "SubscriptionChange": "ChangedAt",
}
_HARD_TYPES: Final = frozenset({"HardBounce", "BadEmailAddress", "ManuallyDeactivated"})
_CODE_TYPES: Final = {
    1: "HardBounce",
    16: "Unsubscribe",
    256: "DnsError",
    4096: "SoftBounce",
    100000: "BadEmailAddress",
    100001: "SpamComplaint",
}
SOFT_TYPES: Final = ("SoftBounce", "DnsError")
"""The mailbox did not accept the mail this time. Not Transient, which Postmark still retries, and not faults of the
mail's content or sender (Blocked, SpamNotification …).
"""
_ORIGINS: Final[dict[str, SuppressionOrigin]] = {"Recipient": "recipient", "Customer": "customer", "Admin": "admin"}


class ProviderEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`delivery` is (issue, seq) from our metadata; it is trusted only together with an attempt of ours.

    `occurred_at` is never later than the arrival: an event dated in the future would outweigh every later one.
    `dedupe_key` is the same for every copy of an event, whether pushed or fetched.
    """

    record_type: str
    stream: str | None
    message_id: uuid.UUID | None
    delivery: tuple[int, int] | None
    mail_id: int | None
    attempt_id: uuid.UUID | None
    email_key: str | None
    occurred_at: datetime
    dedupe_key: str
    detail: dict[str, Any]
    effect: Effect | None
    whole_link: str | None = None
    """Of a click whose link is redacted in `detail`: the link itself, which is not stored."""

    @property
    def effective_stream(self) -> str:
        return self.stream or DEFAULT_STREAM


def parse_event(body: str, received_at: datetime) -> ProviderEvent:
    """Never raises for any body of valid JSON."""
    decoded = msgspec.json.decode(body)
    payload: Mapping[str, Any] = decoded if isinstance(decoded, dict) else {}
    record_type = _text(payload, "RecordType", _NAME_MAX) or _UNKNOWN
    metadata = payload.get("Metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    happened = _time(payload.get(_TIME_FIELDS.get(record_type, "")))
    email = email_key(_text(payload, "Email", _EMAIL_MAX) or _text(payload, "Recipient", _EMAIL_MAX))
    effect = _effect(record_type, payload)
    message_id = _uuid(payload.get("MessageID"))
    return ProviderEvent(
        record_type=record_type,
        stream=_text(payload, "MessageStream", _NAME_MAX),
        message_id=message_id,
        delivery=_delivery(metadata.get(METADATA_DELIVERY)),
        mail_id=_number(metadata.get(METADATA_MAIL)),
        attempt_id=_uuid(metadata.get(METADATA_ATTEMPT)),
        email_key=email,
        occurred_at=min(happened or received_at, received_at),
        dedupe_key=_dedupe_key(record_type, payload, body, message_id, email, happened),
        detail=_detail(record_type, payload),
        effect=effect,
        whole_link=_whole_link(payload) if record_type == "Click" else None,
    )


def email_key(raw: str | None) -> str | None:
    """The address's key, as in `suppression` and for subscribers; best effort for malformed addresses."""
    if raw is None:
        return None
    try:
        return EmailAddress.parse(raw).key
    except ValueError:
        return raw.strip().lower() or None


def names_address(body: str, key: str) -> bool:
    """Whether exactly this address appears anywhere in an event's body, not as a part of a longer one."""
    try:
        texts = _texts_in(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        texts = [body]
    return any("@" in text and names_exactly(text, key) for text in texts)


def _texts_in(value: object) -> list[str]:
    """All texts of a decoded document, field names too. Without recursion, because it may be nested deeply."""
    texts: list[str] = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            texts.append(one)
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            texts += one
            waiting += one.values()
    return texts


def bounce_type(payload: Mapping[str, Any]) -> str:
    """The bounce's type, from its code where the name is missing."""
    named = _text(payload, "Type", _NAME_MAX)
    if named is not None:
        return named
    code = payload.get("TypeCode")
    return _CODE_TYPES.get(code, _UNKNOWN) if isinstance(code, int) else _UNKNOWN


def _effect(record_type: str, payload: Mapping[str, Any]) -> Effect | None:
    match record_type:
        case "SpamComplaint":
            return Suppress("complaint", "recipient")
        case "Bounce":
            return _bounce_effect(payload)
        case "SubscriptionChange":
            return _change_effect(payload)
        case _:
            return None


def _bounce_effect(payload: Mapping[str, Any]) -> Effect | None:
    """A bounce of type Unsubscribe has been seen without SuppressSending: it is an unsubscribe."""
    kind = bounce_type(payload)
    if kind == "SpamComplaint":
        return Suppress("complaint", "recipient")
    if kind == "Unsubscribe":
        return Suppress("unsubscribe", "recipient")
    inactive = payload.get("Inactive")
    if inactive is True or (inactive is None and kind in _HARD_TYPES):
        return Suppress("manual" if kind == "ManuallyDeactivated" else "hard_bounce", "postmark")
    return CountSoftBounce() if kind in SOFT_TYPES else None


def _change_effect(payload: Mapping[str, Any]) -> Effect | None:
    origin = _ORIGINS.get(_text(payload, "Origin", _NAME_MAX) or "", "postmark")
    suppresses = payload.get("SuppressSending")
    if suppresses is False:
        return Lift(origin)
    if suppresses is not True:
        return None
    match _text(payload, "SuppressionReason", _NAME_MAX):
        case "HardBounce":
            return Suppress("hard_bounce", origin)
        case "SpamComplaint":
            return Suppress("complaint", origin)
        case _:
            return Suppress("unsubscribe" if origin == "recipient" else "manual", origin)


def _dedupe_key(
    record_type: str,
    payload: Mapping[str, Any],
    body: str,
    message_id: uuid.UUID | None,
    email: str | None,
    happened: datetime | None,
) -> str:
    """The identity of an event, hashed because it contains an address.

    Times in whole seconds: a fetched bounce and a pushed one may differ in the fraction.
    """
    if happened is None or record_type not in _TIME_FIELDS or (message_id is None and email is None):
        return _hash("body", body)
    moment = happened.replace(microsecond=0).isoformat()
    about = (str(message_id), email or "", moment)
    match record_type:
        case "Bounce" | "SpamComplaint":
            kind = "SpamComplaint" if record_type == "SpamComplaint" else bounce_type(payload)
            return _hash("bounce", *about, kind)
        case "SubscriptionChange":
            # Without the message: the dump shows the same change without naming one.
            stream = _text(payload, "MessageStream", _NAME_MAX) or DEFAULT_STREAM
            return _hash("change", stream, email or str(message_id), moment, str(payload.get("SuppressSending")))
        case "Click":
            return _hash("click", *about, _text(payload, "OriginalLink", 2000) or "")
        case _:
            return _hash(record_type, *about)


def _hash(*parts: str) -> str:
    text = "\x1f".join(parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _detail(record_type: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Details for the timeline: kinds and reasons, never addresses, links with queries, or bodies."""
    match record_type:
        case "Delivery":
            found: dict[str, Any] = {"details": _redacted(payload, "Details")}
        case "Bounce" | "SpamComplaint":
            found = {
                "bounce_id": _number(payload.get("ID")),
                "type": bounce_type(payload),
                "description": _redacted(payload, "Description"),
                "details": _redacted(payload, "Details"),
                "inactive": _flag(payload, "Inactive"),
            }
        case "Open":
            found = {
                "first_open": _flag(payload, "FirstOpen"),
                "platform": _text(payload, "Platform", _NAME_MAX),
                "machine": rule_of_agent(_text(payload, "UserAgent", _AGENT_MAX)),
            }
        case "Click":
            found = {
                "platform": _text(payload, "Platform", _NAME_MAX),
                "location": _text(payload, "ClickLocation", _NAME_MAX),
                "link": _redacted_link(payload),
                "machine": rule_of_agent(_text(payload, "UserAgent", _AGENT_MAX)),
            }
        case "SubscriptionChange":
            found = {
                "suppress_sending": _flag(payload, "SuppressSending"),
                "reason": _text(payload, "SuppressionReason", _NAME_MAX),
                "origin": _text(payload, "Origin", _NAME_MAX),
            }
        case _:
            found = {}
    return {name: value for name, value in found.items() if value is not None}


def _whole_link(payload: Mapping[str, Any]) -> str | None:
    """A link that is not stored as it is, unless it is too long to be named in full anyway."""
    link = _text(payload, "OriginalLink", LINK_LENGTH_MAX + 1)
    return link if link and len(link) <= LINK_LENGTH_MAX and link != _redacted_link(payload) else None


def _redacted_link(payload: Mapping[str, Any]) -> str | None:
    """Without its query and fragment, so that an address in those does not take the rest of the link with it."""
    link = _text(payload, "OriginalLink", 10 * _TEXT_MAX)
    if link is None:
        return None
    base, query, _ = link.partition("#")[0].partition("?")
    return (redact(base) + ("?[query]" if query else ""))[:_TEXT_MAX]


def _redacted(payload: Mapping[str, Any], name: str) -> str | None:
    text = _text(payload, name, 10 * _TEXT_MAX)
    return None if text is None else redact(text)[:_TEXT_MAX]


def _text(payload: Mapping[str, Any], name: str, length_max: int) -> str | None:
    """A string that Postgres takes (no NUL), cut to its bound; None for anything else."""
    value = payload.get(name)
    if not isinstance(value, str):
        return None
    return value.replace("\x00", "").encode("utf-8", "replace").decode()[:length_max] or None


def _flag(payload: Mapping[str, Any], name: str) -> bool | None:
    value = payload.get(name)
    return value if isinstance(value, bool) else None


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _DIGITS_MAX:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**_DIGITS_MAX:
        return value
    return None


def _uuid(value: object) -> uuid.UUID | None:
    try:
        return uuid.UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _delivery(value: object) -> tuple[int, int] | None:
    """`<issue>-<seq>`, as `compose_mail.delivery_id` writes it."""
    if not isinstance(value, str):
        return None
    issue_text, _, seq_text = value.partition(DELIVERY_ID_SEPARATOR)
    issue_id, seq = _number(issue_text), _number(seq_text)
    return None if issue_id is None or seq is None or seq > _SEQ_MAX else (issue_id, seq)


def _time(value: object) -> datetime | None:
    """A moment in UTC; one without an offset is taken for UTC."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
