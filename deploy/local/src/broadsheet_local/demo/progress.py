"""The progress of a phase: bars on a terminal, a line now and then elsewhere. Waiting without progress ends."""

import time
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.supervisor import Say

LINE_INTERVAL_S = 5.0
STALL_S = 90.0


class Phase:
    """One bar. `update` moves it and raises LaunchError when it has not moved for STALL_S."""

    def __init__(
        self, name: str, total: int, progress: Progress, say: Say, log_path: Path, *, on_terminal: bool
    ) -> None:
        self._log_path = log_path
        self._name = name
        self._total = total
        self._progress = progress
        self._say = say
        self._on_terminal = on_terminal
        self._task: TaskID = progress.add_task(name, total=total)
        self.done = 0
        self._moved_at = time.monotonic()
        self._said_at = time.monotonic()

    def update(self, done: int, *, waiting_for: str) -> None:
        now = time.monotonic()
        if done != self.done:
            finished = done >= self._total > self.done
            self.done = done
            self._moved_at = now
            self._progress.update(self._task, completed=done)
            if not self._on_terminal and (finished or now - self._said_at > LINE_INTERVAL_S):
                self._said_at = now
                self._say(f"{self._name.lower()}: {done:,} of {self._total:,}")
        elif now - self._moved_at > STALL_S:
            raise LaunchError(
                f"no progress for {STALL_S:.0f} s while waiting for {waiting_for} ({self.done:,} of {self._total:,})",
                log_path=self._log_path,
            )


class Phases:
    """The bars of one run, on standard error."""

    def __init__(self, say: Say) -> None:
        console = Console(stderr=True)
        self._say = say
        self._on_terminal = console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=40),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not self._on_terminal,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def phase(self, name: str, total: int, log_path: Path) -> Phase:
        """`log_path` is the log to show when it gets stuck."""
        return Phase(name, total, self._progress, self._say, log_path, on_terminal=self._on_terminal)
