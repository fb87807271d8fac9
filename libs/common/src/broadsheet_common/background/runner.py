"""Runs every background loop of a process, and keeps each one's last result and time.

An exception from a round is logged with its class and counted, and the loop waits with a growing, jittered,
bounded back-off. A task that ends unexpectedly is started again. The model is omicron's: one driver for all
background tasks (github.com/oxidecomputer/omicron, nexus/background-task-interface).
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

import structlog
from prometheus_client import CollectorRegistry

from broadsheet_common.background.loop import Loop, Next
from broadsheet_common.background.status import LoopStatus
from broadsheet_common.process.database import is_database_unavailable
from broadsheet_common.process.metrics import Counter, Gauge

BACK_OFF_FIRST_S = 0.5
BACK_OFF_MAX_S = 5.0
"""Short enough that work resumes within seconds after the database is back."""
ERROR_KINDS_MAX = 20
"""At most so many error classes get a metric series of their own, per loop; the others are counted as `other`."""

_log = structlog.get_logger()


def back_off_s(failures: int, fraction: float) -> float:
    """Seconds to wait after so many failures in a row; `fraction` (0 to 1) takes off up to half."""
    longest_s = min(BACK_OFF_MAX_S, BACK_OFF_FIRST_S * 2.0 ** min(failures - 1, 16))
    return longest_s * (1 - fraction / 2)


class _Metrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.rounds = Counter(
            "background_rounds_total", "Rounds of background loops by result", ("loop", "result"), registry=registry
        )
        self.failures = Counter(
            "background_failures_total",
            "Rounds that failed, by the error's class",
            ("loop", "error"),
            registry=registry,
        )
        self.last_success = Gauge(
            "background_last_success_timestamp_seconds", "When a round last succeeded", ("loop",), registry=registry
        )
        self.restarts = Counter(
            "background_restarts_total",
            "Tasks that ended unexpectedly and were restarted",
            ("loop",),
            registry=registry,
        )
        self.set_aside = Gauge(
            "background_set_aside", "Items held back because they fail", ("loop",), registry=registry
        )


class _Driver:
    """One loop and its state. Times are monotonic."""

    def __init__(self, loop: Loop, metrics: _Metrics, jitter: random.Random, stopping: asyncio.Event) -> None:
        self.loop = loop
        self._metrics = metrics
        self._random = jitter
        self._stopping = stopping
        self.failures = 0
        self.restarts = 0
        self._error: str | None = None
        self._kinds: set[str] = set()
        self._in_time_since_s = time.monotonic()
        self._last_success_s: float | None = None
        self._waits_for_room = False
        self.task: asyncio.Task[None] | None = None
        loop.on_progress = self.note_success
        metrics.last_success.labels(loop.name).set(0)
        metrics.restarts.labels(loop.name)
        if loop.set_aside is not None:
            metrics.set_aside.labels(loop.name).set_function(lambda: len(loop.set_aside or ()))

    def start(self) -> None:
        self._in_time_since_s = time.monotonic()
        self._spawn()

    def _spawn(self) -> None:
        self.task = asyncio.create_task(self._drive(), name=f"background {self.loop.name}")
        self.task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if self._stopping.is_set():
            return
        # It should not end by itself; if it does, it is started again.
        self.restarts += 1
        self._metrics.restarts.labels(self.loop.name).inc()
        self._note_failure("cancelled" if error is None else type(error).__name__)
        _log.error("background.restarted", loop=self.loop.name, error=self._error, exc_info=error)
        self._spawn()

    async def _drive(self) -> None:
        structlog.contextvars.bind_contextvars(loop=self.loop.name)
        if self.failures:
            await self._rest(back_off_s(self.failures, self._random.random()), wakes=False)
        elif self.loop.starts_with_wait:
            await self._rest(self._interval_s(), wakes=True)
        while not self._stopping.is_set():
            try:
                result = await self._round()
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if self._stopping.is_set() or task is None or task.cancelling():
                    raise
                # Something that the round awaited was cancelled, not the loop itself.
                await self._back_off(error)
            except Exception as error:  # noqa: BLE001  # whatever a round raises, the loop goes on
                await self._back_off(error)
            else:
                self.note_success()
                wait_s = result.in_s if isinstance(result, Next) else self._interval_s()
                await self._rest(wait_s, wakes=True)

    async def _round(self) -> object:
        if self.loop.wait_for_room is not None:
            self._waits_for_room = True
            try:
                await self.loop.wait_for_room()
            finally:
                self._waits_for_room = False
                self._in_time_since_s = time.monotonic()
            if self._stopping.is_set():
                return None
        self.loop.woken.clear()
        with self.loop.context():
            return await self.loop.run_round()

    def note_success(self) -> None:
        self._in_time_since_s = self._last_success_s = time.monotonic()
        self.failures = 0
        self._error = None
        self._metrics.rounds.labels(self.loop.name, "succeeded").inc()
        self._metrics.last_success.labels(self.loop.name).set_to_current_time()

    def _note_failure(self, kind: str) -> None:
        self.failures += 1
        self._error = kind
        if kind not in self._kinds and len(self._kinds) >= ERROR_KINDS_MAX:
            kind = "other"
        self._kinds.add(kind)
        self._metrics.rounds.labels(self.loop.name, "failed").inc()
        self._metrics.failures.labels(self.loop.name, kind).inc()

    async def _back_off(self, error: BaseException) -> None:
        self._note_failure(type(error).__name__)
        wait_s = back_off_s(self.failures, self._random.random())
        fields = {
            "loop": self.loop.name,
            "error": type(error).__name__,
            "failures": self.failures,
            "wait_s": round(wait_s, 1),
        }
        # An unavailable database is waited for; anything else is a bug and is logged with its traceback.
        if isinstance(error, Exception) and is_database_unavailable(error):
            _log.warning("background.round_failed", **fields)
        else:
            _log.error("background.round_failed", **fields, exc_info=error)
        await self._rest(wait_s, wakes=False)

    async def _rest(self, wait_s: float, *, wakes: bool) -> None:
        """Wait for `wait_s`. A stop ends the wait early; with `wakes`, `wake` does too."""
        if wait_s <= 0:
            await asyncio.sleep(0)
            return
        event = self.loop.woken if wakes else self._stopping
        try:
            async with asyncio.timeout(wait_s):
                await event.wait()
        except TimeoutError:
            return

    def _interval_s(self) -> float:
        # With jitter, so that replicas that start together do not run in step.
        return self.loop.interval_s * self._random.uniform(0.75, 1.25)

    def status(self) -> LoopStatus:
        now_s = time.monotonic()
        late = not self._waits_for_room and now_s - self._in_time_since_s > self.loop.bound_s
        return LoopStatus(
            status="late" if late else "ok",
            required=self.loop.required,
            bound_s=self.loop.bound_s,
            last_success_s=None if self._last_success_s is None else round(now_s - self._last_success_s, 1),
            failures=self.failures,
            error=self._error,
            restarts=self.restarts,
            set_aside=0 if self.loop.set_aside is None else len(self.loop.set_aside),
        )


class BackgroundRunner:
    """All loops of a process: `start`, then `stop`; or both by `running`."""

    def __init__(self, loops: Sequence[Loop], *, registry: CollectorRegistry | None = None) -> None:
        names = [loop.name for loop in loops]
        if len(set(names)) != len(names):
            raise ValueError("two background loops have the same name")
        self.loops = tuple(loops)
        self._stopping = asyncio.Event()
        metrics = _Metrics(registry or CollectorRegistry())
        jitter = random.Random()  # noqa: S311  # jitter, not secrets
        self._drivers = [_Driver(loop, metrics, jitter, self._stopping) for loop in loops]

    def start(self) -> None:
        """Start every loop. If the database is unavailable, they wait for it."""
        self._stopping.clear()
        for driver in self._drivers:
            driver.start()

    def wake(self) -> None:
        """There may be work: every idle loop runs a round at once."""
        for loop in self.loops:
            loop.wake()

    def statuses(self) -> Mapping[str, LoopStatus]:
        """Statuses by the loops' names. Empty before the start."""
        return {driver.loop.name: driver.status() for driver in self._drivers if driver.task is not None}

    async def stop(self, timeout_s: float) -> None:
        """Begin no further round. Rounds in progress have `timeout_s` to end; then they are cancelled."""
        self._stopping.set()
        self.wake()
        for driver in self._drivers:
            if driver.loop.cancel_on_stop and driver.task is not None:
                driver.task.cancel()
        ending = [asyncio.create_task(_end(driver)) for driver in self._drivers if driver.task is not None]
        if not ending:
            return
        _, late = await asyncio.wait(ending, timeout=max(0.0, timeout_s))
        tasks = [driver.task for driver in self._drivers if driver.task is not None]
        for task in [*late, *tasks]:
            task.cancel()
        await asyncio.gather(*ending, *tasks, return_exceptions=True)

    @asynccontextmanager
    async def running(self, *, stop_timeout_s: float) -> AsyncGenerator[None]:
        self.start()
        try:
            yield
        finally:
            await self.stop(stop_timeout_s)


async def _end(driver: _Driver) -> None:
    """Wait for the loop's task, then for the work that its rounds had begun."""
    if driver.task is not None:
        await asyncio.wait({driver.task})
    if driver.loop.drain is not None:
        await driver.loop.drain()
