"""The result of an attempt to deliver, and what follows from it; pure."""

from random import Random
from typing import Final, Literal, assert_never

import msgspec

from broadsheet_common.process.redaction import redact
from broadsheet_subscriptions.webhooks.sending.retry_schedule import wait_before_next_s

ANSWER_READ_BYTES_MAX: Final = 4_096
ANSWER_KEPT_CHARS_MAX: Final = 1_000
_GONE: Final = 410

NoAnswer = Literal[
    "timed_out",
    "name_not_found",
    "address_refused",
    "not_connected",
    "tls_failed",
    "answer_unreadable",
    "url_refused",
    "secret_unreadable",
    "fault_of_ours",
]
"""Why there was no answer. `address_refused`: the name resolves to an address that is not public. `fault_of_ours`:
the call could not be made; the log says why.
"""


class Answered(msgspec.Struct, frozen=True):
    """`body`: only its first bytes."""

    status: int
    body: bytes
    retry_after_s: float | None


class NotAnswered(msgspec.Struct, frozen=True):
    reason: NoAnswer


Answer = Answered | NotAnswered


class Delivered(msgspec.Struct, frozen=True):
    """The receiver has the message."""


class RetryIn(msgspec.Struct, frozen=True):
    wait_s: float


class Failed(msgspec.Struct, frozen=True):
    """No further attempt is made."""


class EndpointGone(msgspec.Struct, frozen=True):
    """The receiver answered 410: this address is gone for good."""


Verdict = Delivered | RetryIn | Failed | EndpointGone


def judge(answer: Answer, *, attempts: int, retried: bool, random: Random) -> Verdict:
    """`attempts`: how many were begun, including this one; `retried` False: there is only one attempt (a test).

    A redirect is a failure: it leads to an address that nobody configured.
    """
    match answer:
        case Answered(status=status) if 200 <= status < 300:  # noqa: PLR2004  # the class of statuses
            return Delivered()
        case Answered(status=status) if status == _GONE:
            return EndpointGone()
        case Answered(retry_after_s=retry_after_s):
            wait_s = wait_before_next_s(attempts, random, retry_after_s=retry_after_s)
        case NotAnswered():
            wait_s = wait_before_next_s(attempts, random)
        case _:
            assert_never(answer)
    return RetryIn(wait_s) if retried and wait_s is not None else Failed()


def shown_answer(body: bytes) -> str:
    """The beginning of an answer as text, for people. Addresses and tokens, which receivers often repeat, are
    removed.
    """
    return redact(body.decode(errors="replace").replace("\x00", "\N{REPLACEMENT CHARACTER}"))[:ANSWER_KEPT_CHARS_MAX]


def describe(answer: Answer) -> str:
    """A short description, for the reason why an endpoint was disabled."""
    match answer:
        case Answered(status=status):
            return f"HTTP status {status}"
        case NotAnswered(reason=reason):
            return reason.replace("_", " ")
        case _:
            assert_never(answer)
