"""Processes that an earlier, killed run left behind: recognised safely, then stopped."""

import contextlib
import os
import signal
import time
from collections.abc import Collection
from pathlib import Path

import psutil  # type: ignore[import-untyped]

# Process start times are compared as seconds; the kernel's clock ticks are 10 ms.
SAME_START_TOLERANCE_S = 0.05
POLL_S = 0.02


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs; one that ended and only waits to be reaped does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def pid_is_alive(pid: int) -> bool:
    try:
        return is_alive(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


def created_at(pid: int) -> float:
    """When a child of ours began (epoch seconds); one that has ended stays visible until it is reaped."""
    return float(psutil.Process(pid).create_time())


def find_process(pid: int, began_at: float) -> psutil.Process | None:
    """The process of this pid if it is still the one that started at `began_at` (epoch seconds)."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - began_at) < SAME_START_TOLERANCE_S
    except psutil.NoSuchProcess:
        return None
    return process if same and is_alive(process) else None


def find_server(pid_file: Path, *, names: Collection[str], cwd: Path) -> psutil.Process | None:
    """The server that wrote `pid_file`, if the pid is alive and really is one of these programs in that folder."""
    pid = _read_pid(pid_file)
    if pid is None:
        return None
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if _is_server(process, names, cwd):
            return process
    return None


def find_by_folder(names: Collection[str], cwd: Path) -> list[psutil.Process]:
    """Every process of these programs that works in this folder."""
    return [process for process in psutil.process_iter() if _is_server(process, names, cwd)]


def names_a_process(pid_file: Path) -> bool:
    """Whether the pid exists. So does that of a process that has ended and waits to be reaped, which Postgres takes
    for alive.
    """
    pid = _read_pid(pid_file)
    return pid is not None and psutil.pid_exists(pid)


def _read_pid(pid_file: Path) -> int | None:
    """The number on the first line; None when the file is absent or its writer got no further."""
    try:
        return int(pid_file.read_text().split(maxsplit=1)[0])
    except (FileNotFoundError, ValueError, IndexError):
        return None


def _is_server(process: psutil.Process, names: Collection[str], cwd: Path) -> bool:
    # We may not inspect another user's process, so it is not one of ours.
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return process.name() in names and Path(process.cwd()) == cwd.resolve() and is_alive(process)
    return False


def wait_ended(process: psutil.Process, *, timeout_s: float) -> bool:
    """Wait for a process that need not be our child; True when it ended in time."""
    deadline = time.monotonic() + timeout_s
    while is_alive(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def send_signal(process: psutil.Process, number: int) -> None:
    """Does nothing if the process has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def stop_process(process: psutil.Process, stop_signal: signal.Signals, *, timeout_s: float) -> None:
    """Ask it to end; what is still there after `timeout_s` is killed with all its process group."""
    send_signal(process, stop_signal)
    if not wait_ended(process, timeout_s=timeout_s):
        kill_group(process.pid)
        send_signal(process, signal.SIGKILL)
        wait_ended(process, timeout_s=timeout_s)


def kill_group(leader_pid: int) -> None:
    """Kill what is left of the process group that `leader_pid` led; the group may be empty already."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader_pid, signal.SIGKILL)
