"""Outcomes of a delivery: types, pure."""

import uuid
from typing import Literal

import msgspec

OutcomeName = Literal["accepted", "failed", "suppressed", "excluded", "cancelled"]


class Accepted(msgspec.Struct, frozen=True):
    """Postmark accepted the mail."""

    message_id: uuid.UUID


class Failed(msgspec.Struct, frozen=True):
    """The mail can never be sent."""

    reason: str
    error_code: int | None = None


class Suppressed(msgspec.Struct, frozen=True):
    """The address is suppressed on this stream; `error_code` is set if Postmark refused it."""

    reason: str
    error_code: int | None = None


class Excluded(msgspec.Struct, frozen=True):
    """The subscriber was in the audience, but must not get the mail any more."""

    reason: str


Outcome = Accepted | Failed | Suppressed | Excluded


class RetryAlone(msgspec.Struct, frozen=True):
    """Certainly not sent: this delivery goes on in the single-mail lane."""

    reason: str
    error_code: int


class AskAlone(msgspec.Struct, frozen=True):
    """Possibly sent: this delivery waits in the single-mail lane to be reconciled."""

    reason: str
    error_code: int


class StopIssue(msgspec.Struct, frozen=True):
    """Not sent; the whole issue stops until somebody resumes it. `about_sender`: Postmark takes no mail from this
    sender.
    """

    reason: str
    about_sender: bool = False


class StopSending(msgspec.Struct, frozen=True):
    """Not sent; all sending stops until somebody resumes it."""

    reason: str


ItemVerdict = Outcome | RetryAlone | AskAlone | StopIssue | StopSending


def outcome_columns(outcome: Outcome) -> tuple[OutcomeName, uuid.UUID | None, int | None, str | None]:
    """The columns of an outcome: outcome, message_id, error_code, reason."""
    match outcome:
        case Accepted(message_id):
            return "accepted", message_id, None, None
        case Failed(reason, error_code):
            return "failed", None, error_code, reason
        case Suppressed(reason, error_code):
            return "suppressed", None, error_code, reason
        case Excluded(reason):
            return "excluded", None, None, reason
