"""What the processes of a run cost: processor time and memory, by name."""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import msgspec
import psutil  # type: ignore[import-untyped]

from broadsheet_local.errors import LaunchError

SAMPLE_INTERVAL_S = 0.5
MB = 1_000_000
OWN_NAME = "bench"


class ProcessUse(msgspec.Struct, frozen=True):
    """One process and its children between two moments; `rss_mb` counts memory that children share once."""

    cpu_s: float
    rss_mb_start: float
    rss_mb_peak: float
    rss_mb_end: float


class ProcessMeter:
    """Measures from `async with` to its end; `uses` is there afterwards. This process itself is `bench`."""

    def __init__(self, process_ids: Mapping[str, int], *, samples_memory: bool = True) -> None:
        """Without samples of memory, which cost some percent of a processor, there is only what is at start and end."""
        self._samples_memory = samples_memory
        try:
            self._processes = {name: psutil.Process(pid) for name, pid in process_ids.items()}
        except psutil.NoSuchProcess as error:
            raise _ended(process_ids, error.pid) from error
        self._processes[OWN_NAME] = psutil.Process(os.getpid())
        self._started_cpu_s: dict[str, float] = {}
        self._rss_mb: dict[str, list[float]] = {}
        self._sampler: asyncio.Task[None] | None = None
        self._began_s = 0.0
        self.seconds = 0.0
        self.uses: dict[str, ProcessUse] = {}

    async def __aenter__(self) -> Self:
        try:
            families = self._families()
            self._started_cpu_s = {name: _cpu_s(family) for name, family in families.items()}
            self._rss_mb = {name: [_rss_mb(family)] for name, family in families.items()}
        except psutil.NoSuchProcess as gone:
            raise self._ended(gone.pid) from gone
        self._began_s = time.monotonic()
        if self._samples_memory:
            self._sampler = asyncio.create_task(self._sample())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sampler is not None:
            self._sampler.cancel()
            await asyncio.wait({self._sampler})
        if error is not None:
            return
        self.seconds = time.monotonic() - self._began_s
        try:
            families = self._families()
            self._note_rss(families)
            self.uses = {
                name: ProcessUse(
                    cpu_s=_cpu_s(family) - self._started_cpu_s[name],
                    rss_mb_start=self._rss_mb[name][0],
                    rss_mb_peak=max(self._rss_mb[name]),
                    rss_mb_end=self._rss_mb[name][-1],
                )
                for name, family in families.items()
            }
        except psutil.NoSuchProcess as gone:
            raise self._ended(gone.pid) from gone

    def _ended(self, pid: int | None) -> LaunchError:
        return _ended({name: one.pid for name, one in self._processes.items()}, pid)

    def _families(self) -> dict[str, list[psutil.Process]]:
        """Each process with its children, found in one pass over all processes of the machine: a pass for each of ours
        would take some percent of a processor from what is measured. This process is taken alone: its children are the
        services, which are measured separately.
        """
        children: dict[int, list[psutil.Process]] = {}
        for process in psutil.process_iter(["ppid"]):
            children.setdefault(process.info["ppid"], []).append(process)
        return {
            name: [process] if process.pid == os.getpid() else _with_children(process, children)
            for name, process in self._processes.items()
        }

    def _note_rss(self, families: Mapping[str, Sequence[psutil.Process]]) -> None:
        for name, family in families.items():
            self._rss_mb[name].append(_rss_mb(family))

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_INTERVAL_S)
            try:
                self._note_rss(self._families())
            except psutil.NoSuchProcess:
                return  # reported at the end, where it can be raised


def _ended(process_ids: Mapping[str, int], pid: int | None) -> LaunchError:
    names = [name for name, one in process_ids.items() if one == pid]
    return LaunchError(f"{names[0] if names else 'a process'} ended during the measurement, so the result is not valid")


def _with_children(process: psutil.Process, children: Mapping[int, Sequence[psutil.Process]]) -> list[psutil.Process]:
    """The process first, and then all that descend from it."""
    family = [process]
    for member in family:
        family += children.get(member.pid, ())
    return family


def _cpu_s(family: Sequence[psutil.Process]) -> float:
    """User and system time of a process, of its living children, and of those it has reaped (sessions that ended)."""
    process = family[0]
    total_s = 0.0
    for member in family:
        try:
            times = member.cpu_times()
        except psutil.NoSuchProcess:
            if member is process:
                raise
            continue
        total_s += times.user + times.system
        if member is process and process.pid != os.getpid():
            total_s += times.children_user + times.children_system
    return total_s


def _rss_mb(family: Sequence[psutil.Process]) -> float:
    """Postgres' sessions all map the same shared buffers: what is shared is counted once."""
    own_bytes, shared_bytes = 0, 0
    for member in family:
        try:
            memory = member.memory_info()
        except psutil.NoSuchProcess:
            if member is family[0]:
                raise
            continue
        shared = getattr(memory, "shared", 0)
        own_bytes += memory.rss - shared
        shared_bytes = max(shared_bytes, shared)
    return (own_bytes + shared_bytes) / MB
