"""The rule about repeated soft bounces. Pure.

It depends on when events happened, not on the order in which they were reported: the same events give the same
result.
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
    """The time of the last bounce that fulfilled the rule; None if it was never fulfilled."""
    ordered, arrived = sorted(bounces), sorted(arrivals)
    for last in range(len(ordered) - 1, rule.count - 2, -1):
        first = last - rule.count + 1
        if ordered[last] - ordered[first] > rule.window:
            continue
        # An arrival at the time of the first bounce or before does not count as between them.
        after_first = bisect_right(arrived, ordered[first])
        if after_first == len(arrived) or arrived[after_first] > ordered[last]:
            return ordered[last]
    return None
