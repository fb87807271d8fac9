"""Why an address must not be sent to on a stream, and what may change that; pure.

A suppression is a register whose newest word counts, by the time of the event and not of its arrival, so that events
may come in any order and any number of times. One word is final: a complaint is never lifted.
"""

from typing import Final

import msgspec

from broadsheet_common.contracts.suppression import SuppressionKind, SuppressionOrigin

ALL_STREAMS: Final = "*"
"""The stream of an operator's word on every stream. Nothing is sent on it: each stream in use has a row of its own."""

DEFAULT_STREAM: Final = "outbound"
"""Postmark's own default, where an event names none."""

LIFTED_BY_CONSENT: Final[frozenset[SuppressionKind]] = frozenset(
    {"inactive", "hard_bounce", "soft_bounces", "unsubscribe"}
)
"""What a person who confirms anew is asked for at Postmark, which decides: it keeps complaints, and the opt-outs that
recipients made by its own link. What somebody decided by hand, here or at Postmark, is not theirs to lift.
"""


class Suppress(msgspec.Struct, frozen=True):
    """No more mail to the address, from the event's moment on."""

    kind: SuppressionKind
    origin: SuppressionOrigin


class Lift(msgspec.Struct, frozen=True):
    """Mail to the address may go out again; `origin` recipient: they asked for it themselves."""

    origin: SuppressionOrigin


class CountSoftBounce(msgspec.Struct, frozen=True):
    """A soft bounce: alone it changes nothing, too many of them do."""


Effect = Suppress | Lift | CountSoftBounce
