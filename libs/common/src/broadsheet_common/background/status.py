"""The state of each loop, as readiness shows it."""

from typing import Literal

import msgspec

LoopState = Literal["ok", "late"]


class LoopStatus(msgspec.Struct, frozen=True):
    """`last_success_s`: how many seconds ago a round last succeeded; None before the first success. `late`: no
    success for longer than the loop's bound, `bound_s`. `failures`: rounds that failed in a row since then;
    `error`: the class of the last failure. `set_aside`: items held back because they fail.
    """

    status: LoopState
    required: bool
    bound_s: float
    last_success_s: float | None
    failures: int
    error: str | None
    restarts: int
    set_aside: int
