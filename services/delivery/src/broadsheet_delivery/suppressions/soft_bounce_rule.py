"""The rule about repeated soft bounces; pure.

It looks at what happened and not at the order in which it was told: the same events give the same word.
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec


class SoftBounceRule(msgspec.Struct, frozen=True):
    """`count` soft bounces within `window`, with no mail having arrived between the first and the last of them."""

    count: int
    window: timedelta


def broken_at(rule: SoftBounceRule, bounces: Sequence[datetime], arrivals: Sequence[datetime]) -> datetime | None:
    """The moment of the last bounce that made the rule hold; None where it never held."""
    ordered, arrived = sorted(bounces), sorted(arrivals)
    for last in range(len(ordered) - 1, rule.count - 2, -1):
        first = last - rule.count + 1
        if ordered[last] - ordered[first] > rule.window:
            continue
        # At the moment of the first bounce or before it, an arrival is none between them.
        after_first = bisect_right(arrived, ordered[first])
        if after_first == len(arrived) or arrived[after_first] > ordered[last]:
            return ordered[last]
    return None
