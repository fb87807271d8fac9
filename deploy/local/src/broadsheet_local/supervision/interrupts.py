"""Signals and the life of the parent, turned into one cancellation of the main task."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import assert_never

import msgspec

PARENT_POLL_S = 0.5
SIGNAL_EXIT_BASE = 128
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Finished(msgspec.Struct, frozen=True):
    """The work came to its own end."""

    exit_code: int


class Interrupted(msgspec.Struct, frozen=True):
    """Somebody asked us to stop, and we have."""

    reason: str
    signal: signal.Signals


class Interrupts:
    """`on_second` runs when a second signal says that stopping takes too long."""

    def __init__(self, on_second: Callable[[], None], *, stop_with_parent: bool) -> None:
        self._on_second = on_second
        self._stop_with_parent = stop_with_parent
        self._got: Interrupted | None = None

    def run(self, work: Callable[[], Coroutine[None, None, int]]) -> Finished | Interrupted:
        """Run `work` in an event loop of its own until it ends or we are interrupted."""
        return asyncio.run(self._run(work))

    async def _run(self, work: Callable[[], Coroutine[None, None, int]]) -> Finished | Interrupted:
        task = asyncio.ensure_future(work())
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            # `nohup` starts us with SIGHUP ignored, and it stays so. A shell's `&` ignores SIGINT in the same way, but
            # somebody who sends that by hand wants us to stop.
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._interrupt, task, number, number.name)
        parent = asyncio.ensure_future(self._watch_parent(task)) if self._stop_with_parent else None
        try:
            return Finished(await task)
        except asyncio.CancelledError:
            if self._got is None:
                raise
            return self._got
        finally:
            if parent is not None:
                parent.cancel()

    def _interrupt(self, task: asyncio.Future[int], number: signal.Signals, reason: str) -> None:
        if self._got is None:
            self._got = Interrupted(reason=reason, signal=number)
            task.cancel()
        else:
            self._on_second()

    async def _watch_parent(self, task: asyncio.Future[int]) -> None:
        """A killed parent cannot pass a signal on; its death shows as a new parent pid."""
        parent = os.getppid()
        while os.getppid() == parent:  # noqa: ASYNC110 - the kernel tells nobody, so we look
            await asyncio.sleep(PARENT_POLL_S)
        self._interrupt(task, signal.SIGTERM, "the end of the process that started this one")


def exit_code_of(outcome: Finished | Interrupted, *, what: str, say: Callable[[str], None]) -> int:
    """For work that has an end: its own exit code, or a shell's for a signal (128 and its number)."""
    match outcome:
        case Finished(exit_code):
            return exit_code
        case Interrupted(reason, number):
            say(f"stopped ({reason}); {what} did not come to its end")
            return SIGNAL_EXIT_BASE + number
        case _:
            assert_never(outcome)
