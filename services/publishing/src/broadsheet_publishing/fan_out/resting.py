"""Issues whose work failed rest for a while, longer each time, so that none holds up the others."""

import random
import time

BACK_OFF_FIRST_S, BACK_OFF_MAX_S = 1.0, 60.0
RESTING_MAX = 1_000


def back_off_s(failures: int, fraction: float) -> float:
    """How long to wait after so many failures in a row: doubling to a minute; `fraction` takes off up to half."""
    longest_s = min(BACK_OFF_MAX_S, BACK_OFF_FIRST_S * 2.0 ** min(failures - 1, 16))
    return longest_s * (1 - fraction / 2)


class _Rest:
    """Not again before `until_s` (monotonic)."""

    __slots__ = ("failures", "until_s")

    def __init__(self) -> None:
        self.failures = 0
        self.until_s = 0.0


class Resting:
    """Which issues rest, in this process."""

    def __init__(self) -> None:
        self._rests: dict[int, _Rest] = {}
        self._random = random.Random()  # noqa: S311  # jitter

    def issue_ids(self) -> frozenset[int]:
        now_s = time.monotonic()
        return frozenset(issue_id for issue_id, rest in self._rests.items() if rest.until_s > now_s)

    def rest(self, issue_id: int) -> tuple[int, float]:
        """After a failure; how many there were in a row, and how long the issue rests now."""
        if len(self._rests) >= RESTING_MAX:
            self._rests.clear()
        rest = self._rests.setdefault(issue_id, _Rest())
        rest.failures += 1
        wait_s = back_off_s(rest.failures, self._random.random())
        rest.until_s = time.monotonic() + wait_s
        return rest.failures, wait_s

    def forget(self, issue_id: int) -> None:
        """After a success."""
        self._rests.pop(issue_id, None)
