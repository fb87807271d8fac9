"""When an attempt that failed is made again; pure.

The schedule that Standard Webhooks suggests: soon at first, for receivers that restart, then ever later, for those
that somebody has to mend. Ten attempts in a little over three days.
"""

from random import Random
from typing import Final

_WAITS_S: Final = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
ATTEMPTS_MAX: Final = len(_WAITS_S) + 1
RETRY_AFTER_S_MAX: Final = 86_400.0
_JITTER: Final = 0.2


def wait_before_next_s(attempts: int, random: Random, *, retry_after_s: float | None = None) -> float | None:
    """Seconds until the next attempt after `attempts` that failed (1 or more); None: that was the last.

    Spread over a fifth of the wait, so that all that failed together does not come back together. What the receiver
    asks for is honoured up to a day.
    """
    if attempts >= ATTEMPTS_MAX:
        return None
    wait_s = _WAITS_S[max(attempts, 1) - 1] * (1 + _JITTER * random.random())
    return max(wait_s, min(retry_after_s or 0.0, RETRY_AFTER_S_MAX))
