"""Whether one of Postmark's streams fits a newsletter, and which checks are remembered. Pure.

Source: Postmark's documentation, "Message streams API" (`MessageStreamType`,
`SubscriptionManagementConfiguration`).
"""

from collections.abc import Callable
from typing import Final

import msgspec

PASSED_FOR_S: Final = 30.0
"""How long a passed check is valid for the next issue on the same stream."""
_PASSED_MAX: Final = 256

_HANDLING_OF = {"custom": "Custom", "postmark": "Postmark"}


class Stream(msgspec.Struct, frozen=True):
    """A message stream as Postmark describes it."""

    id: str
    type: str
    unsubscribe_handling: str
    archived: bool


class NoSuchStream(msgspec.Struct, frozen=True):
    """Postmark refused to show the stream: it does not exist, or the request was wrong."""

    reason: str


class AccountRefused(msgspec.Struct, frozen=True):
    """The token or the account was refused."""

    reason: str


class NotAsked(msgspec.Struct, frozen=True):
    """Postmark gave no usable answer: nothing is known."""

    reason: str


StreamAnswer = Stream | NoSuchStream | AccountRefused | NotAsked


def mismatch(stream: Stream, unsubscribe_handling: str) -> str | None:
    """Why no newsletter of this handling (`custom` or `postmark`) may go out on the stream; None when it may."""
    if stream.archived:
        return f"Postmark's stream '{stream.id}' is archived."
    if stream.type != "Broadcasts":
        return f"Postmark's stream '{stream.id}' is of the type {stream.type}; a newsletter needs the type Broadcasts."
    wanted = _HANDLING_OF.get(unsubscribe_handling)
    if stream.unsubscribe_handling != wanted:
        return (
            f"Postmark's stream '{stream.id}' handles unsubscribing as {stream.unsubscribe_handling}, "
            f"but the newsletter's unsubscribe_handling is '{unsubscribe_handling}', which needs {wanted}."
        )
    return None


class PassedPreflights:
    """Checks that passed recently in this replica, by stream and handling. Failures are never remembered."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._passed_at_s: dict[tuple[str, str], float] = {}

    def stands(self, stream: str, handling: str) -> bool:
        passed_at_s = self._passed_at_s.get((stream, handling))
        return passed_at_s is not None and self._monotonic_s() - passed_at_s < PASSED_FOR_S

    def passed(self, stream: str, handling: str) -> None:
        if len(self._passed_at_s) >= _PASSED_MAX:
            self._passed_at_s.clear()
        self._passed_at_s[stream, handling] = self._monotonic_s()

    def forget(self) -> None:
        self._passed_at_s.clear()
