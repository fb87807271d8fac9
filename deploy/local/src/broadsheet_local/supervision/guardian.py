"""Ends every child when the launcher itself is killed.

The launcher holds the writing end of a pipe to this small process. However the launcher ends, `kill -9`
included, the kernel closes the pipe; the guardian then stops what is still registered. This works alike on
Linux and macOS (PR_SET_PDEATHSIG exists on Linux only and cannot escalate to SIGKILL).

Lines on the pipe: `+ pid created_at signal timeout_s stage` and `- pid`. Lower stages end first, so that services drain
while their stores still answer. The start time guards against a pid that has been given to a new process.
"""

import contextlib
import signal
import subprocess
import sys
from typing import NamedTuple

from broadsheet_local.errors import LaunchError

CLOSE_TIMEOUT_S = 5.0


class Guardian:
    """The launcher's side of the pipe."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "broadsheet_local.supervision.guardian"],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def watch(self, pid: int, created_at: float, stop_signal: signal.Signals, timeout_s: float, stage: int) -> None:
        """From now on this process ends with us. Raises LaunchError when the guardian is gone."""
        self._write(f"+ {pid} {created_at!r} {int(stop_signal)} {timeout_s!r} {stage}\n")

    def forget(self, pid: int) -> None:
        """The process has ended and been reaped: its pid means nothing any more."""
        with contextlib.suppress(LaunchError):
            self._write(f"- {pid}\n")

    def _write(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise LaunchError("the guardian process, which ends the children with the launcher, has died") from None

    def close(self) -> None:
        """Let it go; it ends by itself once nothing is registered."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


class Watched(NamedTuple):
    pid: int
    created_at: float
    stop_signal: int
    timeout_s: float
    stage: int


def main() -> None:
    """The guardian process: read until the pipe closes, then stop what is left, stage by stage."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    watched: dict[int, Watched] = {}
    for line in sys.stdin:
        match line.split():
            case ["+", pid, created_at, stop_signal, timeout_s, stage]:
                watched[int(pid)] = Watched(int(pid), float(created_at), int(stop_signal), float(timeout_s), int(stage))
            case ["-", pid]:
                watched.pop(int(pid), None)
            case _:
                raise ValueError(f"not a guardian line: {line!r}")
    for stage in sorted({entry.stage for entry in watched.values()}):
        stop_stage([entry for entry in watched.values() if entry.stage == stage])


def stop_stage(entries: list[Watched]) -> None:
    """Signal all of a stage at once, then give each its time, which runs for all together."""
    # Imported here: the guardian idles for the whole life of the launcher, and psutil would double its memory.
    import time  # noqa: PLC0415

    from broadsheet_local.supervision.leftovers import (  # noqa: PLC0415
        find_process,
        kill_group,
        send_signal,
        wait_ended,
    )

    began = time.monotonic()
    living = []
    for entry in entries:
        process = find_process(entry.pid, entry.created_at)
        if process is not None:
            living.append((entry, process))
            send_signal(process, entry.stop_signal)
    for entry, process in living:
        wait_ended(process, timeout_s=max(0.0, entry.timeout_s - (time.monotonic() - began)))
        kill_group(entry.pid)


if __name__ == "__main__":
    main()
