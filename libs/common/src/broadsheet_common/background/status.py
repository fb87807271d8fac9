"""The state of each loop, as readiness shows it."""

from typing import Literal

import msgspec

LoopState = Literal["ok", "late"]


class LoopStatus(msgspec.Struct, frozen=True):
    """`last_success_s` is how many seconds ago a round last succeeded, None before the first. `late`: longer ago than
    the loop's bound, `bound_s`. `failures` counts rounds that failed in a row since, `error` is the last one's class.
    `set_aside` items are held back because they fail.
    """

    status: LoopState
    required: bool
    bound_s: float
    last_success_s: float | None
    failures: int
    error: str | None
    restarts: int
    set_aside: int
