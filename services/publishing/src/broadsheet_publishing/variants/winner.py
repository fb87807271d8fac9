"""Which variant of an A/B test wins, pure."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

Reason = Literal["rate", "tie", "too_few", "by_hand", "cancelled"]

FIRST: Final = 1
"""The issue itself. It is taken when the figures do not tell."""


class VariantFigures(msgspec.Struct, frozen=True, kw_only=True):
    """People, each counted once. `delivered` includes those who opened or clicked; `delivery_reported` of them Postmark
    reported. `opened`, `clicked`: at least once not by a machine.
    """

    accepted: int = 0
    delivery_reported: int = 0
    delivered: int = 0
    opened: int = 0
    clicked: int = 0


class Choice(msgspec.Struct, frozen=True):
    """`reason` `rate`: its rate was the highest; `tie`: the highest rate was that of several, and the first of them is
    taken; `too_few`: some variant reached too few people, and the first is taken.
    """

    winner: int
    reason: Reason


def choose_winner(
    figures: Mapping[int, VariantFigures],
    *,
    variant_count: int,
    by: Literal["clicks", "opens"],
    sample_min: int,
    is_last_look: bool,
) -> Choice | None:
    """`figures` by variant; one that is missing has none. None: too few people yet, look again later."""
    all_figures = [figures.get(variant, VariantFigures()) for variant in range(1, variant_count + 1)]
    reported = any(one.delivery_reported > 0 for one in all_figures)
    reached = [one.delivered if reported else max(one.accepted, one.delivered) for one in all_figures]
    if min(reached) < sample_min:
        return Choice(FIRST, "too_few") if is_last_look else None
    acted = [one.clicked if by == "clicks" else one.opened for one in all_figures]
    # Compared as fractions: a difference in the last bit of a quotient is no difference between variants.
    best = 0
    for place in range(1, variant_count):
        if acted[place] * reached[best] > acted[best] * reached[place]:
            best = place
    ties = [place for place in range(variant_count) if acted[place] * reached[best] == acted[best] * reached[place]]
    return Choice(best + 1, "rate" if len(ties) == 1 else "tie")
