"""What the checks may say of stream and sender, from what delivery last learned at Postmark; pure."""

from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from broadsheet_publishing.checks.checked_issue import SenderFact, StreamFact, Unknown

VALID_FOR: Final = timedelta(minutes=15)


class Preflight(msgspec.Struct, frozen=True):
    """A row of `delivery.published_preflight`. `sender` is empty for the service's own."""

    checked_at: datetime
    stream: str
    handling: str
    stream_state: Literal["fits", "mismatch", "unknown"]
    stream_reason: str | None
    sender: str
    sender_state: Literal["accepted", "refused", "unknown"]
    sender_reason: str | None


def facts_of(
    preflight: Preflight | None, *, now: datetime, stream: str, handling: str, from_email: str | None
) -> tuple[StreamFact | Unknown, SenderFact | Unknown]:
    """`stream`, `handling`, `from_email`: as the newsletter has them now; an answer about others says nothing."""
    if preflight is None:
        unknown = Unknown("Postmark has not been asked yet.")
        return unknown, unknown
    if now - preflight.checked_at > VALID_FOR:
        unknown = Unknown("What Postmark said is too old.")
        return unknown, unknown
    return _stream_fact(preflight, stream, handling), _sender_fact(preflight, from_email or "")


def _stream_fact(preflight: Preflight, stream: str, handling: str) -> StreamFact | Unknown:
    if (preflight.stream, preflight.handling) != (stream, handling):
        return Unknown("The newsletter's stream was changed, and Postmark has not been asked about it yet.")
    match preflight.stream_state:
        case "fits":
            return StreamFact(None)
        case "mismatch":
            return StreamFact(preflight.stream_reason or "Postmark's stream does not fit the newsletter.")
        case "unknown":
            return Unknown(f"Postmark could not be asked. {preflight.stream_reason or ''}".strip())


def _sender_fact(preflight: Preflight, from_email: str) -> SenderFact | Unknown:
    if preflight.sender != from_email:
        return Unknown("The newsletter's sender was changed, and nothing was sent from it yet.")
    match preflight.sender_state:
        case "accepted":
            return SenderFact(confirmed=True)
        case "refused":
            return SenderFact(confirmed=False, detail=preflight.sender_reason or "")
        case "unknown":
            return Unknown(
                "Postmark tells the service nothing about senders, and no issue has been sent from this one yet."
            )
