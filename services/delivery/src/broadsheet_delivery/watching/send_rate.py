"""How fast an issue's deliveries are settled, from counts taken at known times; pure."""

from collections import deque
from typing import Final

WINDOW_S: Final = 30.0
"""The rate is that of so many seconds, so that one batch of 500 mails does not make it jump."""
SPAN_MIN_S: Final = 2.0
"""Two counts that are closer together than this say nothing about the rate."""


class SendRate:
    """The rate of one issue. Times are seconds by the database's clock, in order."""

    def __init__(self) -> None:
        self._counts: deque[tuple[float, int]] = deque()

    def add(self, at_s: float, settled: int) -> None:
        """A count that is lower than the one before (failed deliveries are tried again) starts the rate anew."""
        if self._counts and (settled < self._counts[-1][1] or at_s < self._counts[-1][0]):
            self._counts.clear()
        self._counts.append((at_s, settled))
        # The oldest count that is kept is the last one at or before the window's start.
        while len(self._counts) > 1 and self._counts[1][0] <= at_s - WINDOW_S:
            self._counts.popleft()

    @property
    def per_s(self) -> float | None:
        """Deliveries settled a second, to one decimal; None until there are counts that are far enough apart."""
        if not self._counts:
            return None
        (first_s, first), (last_s, last) = self._counts[0], self._counts[-1]
        span_s = last_s - first_s
        return None if span_s < SPAN_MIN_S else round((last - first) / span_s, 1)


def seconds_left(waiting: int, per_s: float | None) -> int | None:
    """How long `waiting` deliveries take at this rate; None while there is no rate."""
    if waiting == 0:
        return 0
    return None if not per_s else round(waiting / per_s)
