"""Why an address must not be sent to on a stream, and what may change that. Pure.

The newest change counts, by the time of the event and not of its arrival, so events may come in any order and any
number of times. A complaint is never lifted.
"""

from typing import Final

import msgspec

from broadsheet_common.contracts.suppression import SuppressionKind, SuppressionOrigin

ALL_STREAMS: Final = "*"
"""The stream of a decision for every stream. Nothing is sent on it: each stream in use has a row of its own."""

DEFAULT_STREAM: Final = "outbound"
"""Postmark's own default, where an event names none."""

LIFTED_BY_CONSENT: Final[frozenset[SuppressionKind]] = frozenset(
    {"inactive", "hard_bounce", "soft_bounces", "unsubscribe"}
)
"""Suppressions that a person who confirms again may ask Postmark to lift. Postmark decides: it keeps complaints, and
opt-outs that recipients made by its own link. What somebody decided by hand, here or at Postmark, they cannot
lift.
"""


class Suppress(msgspec.Struct, frozen=True):
    """No more mail to the address, from the event's time on."""

    kind: SuppressionKind
    origin: SuppressionOrigin


class Lift(msgspec.Struct, frozen=True):
    """Mail to the address is allowed again; `origin` recipient: they asked for it themselves."""

    origin: SuppressionOrigin


class CountSoftBounce(msgspec.Struct, frozen=True):
    """A soft bounce: one alone changes nothing, too many do."""


Effect = Suppress | Lift | CountSoftBounce
