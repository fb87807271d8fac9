"""A background loop as its service declares it: what one round does, how often, and how long it may go without
success.

A round is bounded work: it does what is due and returns. The runner repeats it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import msgspec

from broadsheet_common.background.set_aside import SetAside

Round = Callable[[], Awaitable[object]]
"""Returns `Next` to say when the next round is due; any other result means: after the loop's interval."""


class Next(msgspec.Struct, frozen=True):
    """The next round is due in `in_s` seconds (0: at once), or earlier when the loop is woken."""

    in_s: float


class Loop:
    """One loop.

    `name` is a constant dotted name, unique in the process. `bound_s` is how long it may go without a successful
    round before readiness reports it; a round that finds nothing to do is a success. If the loop is `required`,
    readiness then fails; otherwise the service is only degraded and still receives traffic. `wait_for_room` is
    awaited before each round; the time spent there does not count against the bound (a sender whose slots are all
    in use is healthy). `drain` is awaited after the last round, for work that rounds have begun. `set_aside`
    counts items that are held back because they fail. With `cancel_on_stop` a round is cancelled when the process
    stops: such a round rolls back, or never ends by itself. `context` is entered around each round, for example
    to bind ids to its log lines.
    """

    def __init__(
        self,
        name: str,
        run_round: Round,
        *,
        interval_s: float,
        bound_s: float,
        required: bool = False,
        starts_with_wait: bool = False,
        cancel_on_stop: bool = False,
        wait_for_room: Callable[[], Awaitable[object]] | None = None,
        drain: Callable[[], Awaitable[object]] | None = None,
        set_aside: SetAside[Any] | None = None,
        context: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.name = name
        self.run_round = run_round
        self.interval_s = interval_s
        self.bound_s = bound_s
        self.required = required
        self.starts_with_wait = starts_with_wait
        self.cancel_on_stop = cancel_on_stop
        self.wait_for_room = wait_for_room
        self.drain = drain
        self.set_aside = set_aside
        self.context = context
        self.woken = asyncio.Event()
        self.on_progress: Callable[[], None] | None = None

    def wake(self) -> None:
        """There may be work: run a round at once. A loop that backs off after a failure keeps waiting."""
        self.woken.set()

    def progress(self) -> None:
        """Report that a long round is making progress."""
        if self.on_progress is not None:
            self.on_progress()
