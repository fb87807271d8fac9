"""When a failed attempt is made again; pure.

The schedule that Standard Webhooks suggests: short waits first, for receivers that restart, then longer and
longer ones, for receivers that somebody has to repair. Ten attempts in a little over three days.
"""

from random import Random
from typing import Final

_WAITS_S: Final = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
ATTEMPTS_MAX: Final = len(_WAITS_S) + 1
RETRY_AFTER_S_MAX: Final = 86_400.0
_JITTER: Final = 0.2


def wait_before_next_s(attempts: int, random: Random, *, retry_after_s: float | None = None) -> float | None:
    """Seconds to wait after `attempts` failed attempts (1 or more); None: that was the last.

    Up to a fifth of the wait is added at random, so that deliveries that failed together are not retried
    together. The receiver's `Retry-After` is honoured up to a day.
    """
    if attempts >= ATTEMPTS_MAX:
        return None
    wait_s = _WAITS_S[max(attempts, 1) - 1] * (1 + _JITTER * random.random())
    return max(wait_s, min(retry_after_s or 0.0, RETRY_AFTER_S_MAX))
