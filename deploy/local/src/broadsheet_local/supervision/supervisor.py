"""Keeps the children of one set-up: the death of any child ends everything, except a delivery replica's, which is
restarted.
"""

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import NoReturn

import msgspec

from broadsheet_local.embedded.data_folder import DataFolder
from broadsheet_local.embedded.ports import LOOPBACK
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.child import Child, ProcessSpec, bound_log
from broadsheet_local.supervision.guardian import Guardian
from broadsheet_local.supervision.probe import status_of

POLL_S = 0.1
LOG_BOUND_INTERVAL_S = 5.0
HEALTH_TIMEOUT_S = 2.0
HEALTH_POLL_S = 0.05
STEP_TIMEOUT_S = 120.0

EXIT_SETTINGS = 2

Say = Callable[[str], None]


class RestartPolicy(msgspec.Struct, frozen=True):
    """How often and how soon a replica that died is started again.

    A replica that has run for `steady_after_s` counts as healthy: its next death starts the count again.
    """

    in_a_row_max: int = 8
    delay_first_s: float = 0.25
    delay_max_s: float = 10.0
    steady_after_s: float = 30.0

    def delay_s(self, deaths_in_a_row: int) -> float:
        """Doubles with every death from `delay_first_s`, up to `delay_max_s`."""
        return min(self.delay_max_s, self.delay_first_s * 2.0 ** (deaths_in_a_row - 1))


class Restart(msgspec.Struct, frozen=True):
    """A replica that is down; `due_at` on the monotonic clock."""

    spec: ProcessSpec
    due_at: float


class Supervisor:
    """Starts, watches and stops children.

    `adopt` takes a store that was started elsewhere, so that its death is noticed; stopping it stays with its
    owner. `restarts` counts the replicas that were replaced.
    """

    def __init__(self, folder: DataFolder, guardian: Guardian, say: Say, policy: RestartPolicy | None = None) -> None:
        self.restarts = 0
        self._policy = policy or RestartPolicy()
        self._folder = folder
        self._guardian = guardian
        self._say = say
        self._children: list[Child] = []
        self._adopted: list[Child] = []
        self._restartable: set[str] = set()
        self._started_at: dict[str, float] = {}
        self._deaths_in_a_row: dict[str, int] = {}
        self._pending: list[Restart] = []

    def start(self, spec: ProcessSpec, *, restartable: bool = False) -> Child:
        child = Child(spec, self._guardian)
        self._children.append(child)
        self._started_at[spec.name] = time.monotonic()
        if restartable:
            self._restartable.add(spec.name)
        self._record()
        return child

    def adopt(self, child: Child) -> None:
        self._adopted.append(child)
        self._record()

    def processes(self) -> list[Child]:
        return [*self._children, *self._adopted]

    async def run_step(self, spec: ProcessSpec, *, purpose: str) -> None:
        """Run a command to its end. Raises LaunchError when it fails or takes longer than STEP_TIMEOUT_S."""
        child = self.start(spec)
        deadline = time.monotonic() + STEP_TIMEOUT_S
        try:
            while (code := child.exit_code()) is None:
                if time.monotonic() > deadline:
                    raise LaunchError(f"{purpose} took longer than {STEP_TIMEOUT_S:.0f} s", log_path=spec.log_path)
                await asyncio.sleep(HEALTH_POLL_S)
        finally:
            child.kill()
            self._children.remove(child)
            self._record()
        if code != 0:
            raise LaunchError(f"{purpose} failed: {spec.name} {child.describe_end()}", log_path=spec.log_path)

    async def wait_ready(self, child: Child, port: int, path: str, *, timeout_s: float) -> None:
        """Wait until this address answers 200. Raises LaunchError when the child dies or the time is over."""
        deadline = time.monotonic() + timeout_s
        while True:
            status = await asyncio.to_thread(status_of, LOOPBACK, port, path, timeout_s=HEALTH_TIMEOUT_S)
            if status == HTTPStatus.OK:
                return
            if child.exit_code() is not None:
                raise LaunchError(
                    f"{child.name} {child.describe_end()} before it was ready", log_path=child.spec.log_path
                )
            if time.monotonic() > deadline:
                last = "no answer" if status is None else f"status {status}"
                raise LaunchError(
                    f"{child.name} was not ready within {timeout_s:.0f} s (port {port}, {path}: {last})",
                    log_path=child.spec.log_path,
                )
            await asyncio.sleep(HEALTH_POLL_S)

    async def watch(self) -> NoReturn:
        """Supervise the children without end. Raises LaunchError at a death that must end everything."""
        logs_bounded_at = time.monotonic()
        while True:
            await asyncio.sleep(POLL_S)
            if not self._guardian.is_alive():
                raise LaunchError("the guardian process, which ends the children with the launcher, has died")
            for child in self.processes():
                if child.exit_code() is not None:
                    self._handle_death(child)
            for restart in [due for due in self._pending if due.due_at <= time.monotonic()]:
                self._pending.remove(restart)
                self.start(restart.spec, restartable=True)
                self.restarts += 1
                self._say(f"{restart.spec.name} was started again (pid {self._children[-1].pid})")
            if time.monotonic() - logs_bounded_at > LOG_BOUND_INTERVAL_S:
                logs_bounded_at = time.monotonic()
                for child in self.processes():
                    bound_log(child.spec.log_path)

    def _handle_death(self, child: Child) -> None:
        name = child.name
        if name not in self._restartable or child.exit_code() == EXIT_SETTINGS:
            raise LaunchError(
                f"{name} (pid {child.pid}) {child.describe_end()}; everything else is being stopped",
                log_path=child.spec.log_path,
            )
        self._children.remove(child)
        self._record()
        steady = time.monotonic() - self._started_at[name] > self._policy.steady_after_s
        in_a_row = 1 if steady else self._deaths_in_a_row.get(name, 0) + 1
        self._deaths_in_a_row[name] = in_a_row
        if in_a_row > self._policy.in_a_row_max:
            raise LaunchError(
                f"{name} {child.describe_end()}, {in_a_row} times in a row; everything else is being stopped",
                log_path=child.spec.log_path,
            )
        delay_s = self._policy.delay_s(in_a_row)
        self._pending.append(Restart(child.spec, time.monotonic() + delay_s))
        self._say(f"{name} (pid {child.pid}) {child.describe_end()}; starting it again in {delay_s:g} s")

    async def stop_all(self) -> None:
        """Stop every child that was started here, stage by stage, each within its bound."""
        self._pending.clear()
        for stage in sorted({child.spec.stage for child in self._children}):
            of_stage = [child for child in self._children if child.spec.stage == stage]
            for child in of_stage:
                child.ask_to_stop()
            deadline = time.monotonic() + max(child.spec.stop_timeout_s for child in of_stage)
            while any(child.exit_code() is None for child in of_stage):
                if time.monotonic() > deadline:
                    break
                await asyncio.sleep(HEALTH_POLL_S)
            for child in of_stage:
                if child.exit_code() is None:
                    self._say(f"{child.name} did not stop within {child.spec.stop_timeout_s:.0f} s and was killed")
                child.kill()
                self._children.remove(child)
            self._record()

    def kill_all(self) -> None:
        """For a second Ctrl-C; `stop_all` then finds nothing to wait for."""
        self._pending.clear()
        for child in self._children:
            child.kill()

    def _record(self) -> None:
        self._folder.record([child for child in self.processes() if child.exit_code() is None])
