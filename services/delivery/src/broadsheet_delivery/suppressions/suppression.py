"""Why an address must not be sent to on a stream, and what may change that; pure.

A suppression is a register whose newest word counts, by the time of the event and not of its arrival, so that events
may come in any order and any number of times. One word is final: a complaint is never lifted.
"""

from typing import Final, Literal

import msgspec

SuppressionKind = Literal["inactive", "manual", "hard_bounce", "soft_bounces", "unsubscribe", "complaint"]
"""inactive: Postmark refused the address (error 406) without a reason that we know."""

Origin = Literal["postmark", "recipient", "customer", "admin", "operator", "rule"]
"""Who decided; operator: somebody here, through our API; rule: the one about soft bounces (see `soft_bounces`)."""

ALL_STREAMS: Final = "*"
"""The stream of an operator's word on every stream. Nothing is sent on it: each stream in use has a row of its own."""

DEFAULT_STREAM: Final = "outbound"
"""Postmark's own default, where an event names none."""

REASONS: Final[dict[SuppressionKind, str]] = {
    "inactive": "Postmark holds the address for inactive.",
    "manual": "Suppressed by hand.",
    "hard_bounce": "The address bounced.",
    "soft_bounces": "The address bounced softly again and again.",
    "unsubscribe": "The recipient unsubscribed through Postmark.",
    "complaint": "The recipient complained of spam.",
}


class Suppress(msgspec.Struct, frozen=True):
    """No more mail to the address, from the event's moment on."""

    kind: SuppressionKind
    origin: Origin


class Lift(msgspec.Struct, frozen=True):
    """Mail to the address may go out again; `origin` recipient: they asked for it themselves."""

    origin: Origin


class CountSoftBounce(msgspec.Struct, frozen=True):
    """A soft bounce: alone it changes nothing, too many of them do."""


Effect = Suppress | Lift | CountSoftBounce
