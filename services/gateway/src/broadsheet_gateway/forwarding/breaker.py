"""Whether a service is called at all: a circuit breaker with a bound on the calls that wait; pure.

         `failures_max` calls in a row without an answer
  closed ───────────────────────────────────────────────► open ◄──────────┐
    ▲                                                       │ wait is over │ it fails: the wait is
    │                one call tries                         ▼              │ twice as long, 30 s at most
    └───────────────────────────────────────────────── half-open ──────────┘

A call that began before the breaker changed its state is not judged any more: it says nothing about now.
"""

from typing import Final, Literal

import msgspec

FIRST_WAIT_S: Final = 1.0
WAIT_MAX_S: Final = 30.0

BreakerState = Literal["closed", "half_open", "open"]
RefusalReason = Literal["open", "waiting"]


class Refusal(msgspec.Struct, frozen=True):
    """Why a call is not made: the breaker is open, or too many calls wait already."""

    reason: RefusalReason
    retry_after_s: float


class Call(msgspec.Struct, frozen=True, eq=False):
    """A call that may be made. It must end in exactly one of `answered`, `failed` and `abandoned`."""

    generation: int
    is_probe: bool


class Breaker:
    """One service's. All times are seconds of one monotonic clock."""

    def __init__(self, *, failures_max: int, waiting_max: int, probe_max_s: float) -> None:
        """`probe_max_s`: a call that tries while the breaker is half-open keeps others from it for no longer."""
        self._failures_max = failures_max
        self._waiting_max = waiting_max
        self._probe_max_s = probe_max_s
        self._generation = 0
        self._failures = 0
        self._wait_s = FIRST_WAIT_S
        self._open_until_s: float | None = None
        self._probe: Call | None = None
        self._probe_until_s = 0.0
        self.waiting = 0
        """Calls whose answer has not begun."""

    def state(self, now_s: float) -> BreakerState:
        if self._open_until_s is None:
            return "closed"
        return "open" if now_s < self._open_until_s else "half_open"

    def admit(self, now_s: float) -> Call | Refusal:
        if self._open_until_s is not None and now_s < self._open_until_s:
            return Refusal("open", self._open_until_s - now_s)
        is_probe = self._open_until_s is not None
        if is_probe and self._probe is not None and now_s < self._probe_until_s:
            return Refusal("open", FIRST_WAIT_S)
        if self.waiting >= self._waiting_max:
            return Refusal("waiting", FIRST_WAIT_S)
        call = Call(self._generation, is_probe)
        if is_probe:
            self._probe, self._probe_until_s = call, now_s + self._probe_max_s
        self.waiting += 1
        return call

    def answered(self, call: Call) -> bool:
        """The service answered, whatever it said. Returns whether this closed the breaker."""
        self._leave(call)
        if call.generation != self._generation:
            return False
        self._failures = 0
        if not call.is_probe:
            return False
        self._change(open_until_s=None)
        self._wait_s = FIRST_WAIT_S
        return True

    def failed(self, call: Call, now_s: float) -> bool:
        """The service did not answer. Returns whether this opened the breaker."""
        self._leave(call)
        if call.generation != self._generation:
            return False
        self._failures += 1
        if not call.is_probe and self._failures < self._failures_max:
            return False
        self._wait_s = min(WAIT_MAX_S, self._wait_s * 2) if call.is_probe else FIRST_WAIT_S
        self._change(open_until_s=now_s + self._wait_s)
        return True

    def abandoned(self, call: Call) -> None:
        """It ended for a reason that says nothing about the service."""
        self._leave(call)

    def _leave(self, call: Call) -> None:
        self.waiting -= 1
        if self._probe is call:
            self._probe = None

    def _change(self, *, open_until_s: float | None) -> None:
        self._generation += 1
        self._failures = 0
        self._open_until_s = open_until_s
        self._probe = None
