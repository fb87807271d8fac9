"""Deaths and signals, on real processes: a small launcher with real stores and stand-in services."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broadsheet_local.supervision.leftovers import pid_is_alive

pytestmark = pytest.mark.process

LAUNCHER = Path(__file__).with_name("stand_in_launcher.py")
BOUND_S = 30.0


class Launcher:
    def __init__(self, root: Path, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(LAUNCHER), str(root)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | environment,
            text=True,
        )
        self.pids: dict[str, int] = {}

    def ready(self) -> "Launcher":
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        self.pids = json.loads(line)
        return self

    def end(self, timeout_s: float = BOUND_S) -> tuple[int, str]:
        _, errors = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, errors

    def running(self) -> list[str]:
        return [name for name, pid in self.pids.items() if pid_is_alive(pid)]


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {BOUND_S} s: {what}"
        time.sleep(0.02)


@pytest.fixture
def launch(shared_folder: Path) -> Iterator[Callable[..., Launcher]]:
    started: list[Launcher] = []

    def start(**environment: str) -> Launcher:
        launcher = Launcher(shared_folder / "data", **environment)
        started.append(launcher)
        return launcher

    yield start
    for launcher in started:
        launcher.process.kill()
        launcher.process.communicate()
    until(lambda: not any(launcher.running() for launcher in started), "the end of all children")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_everything_in_order(launch: Callable[..., Launcher], number: signal.Signals) -> None:
    launcher = launch().ready()
    assert set(launcher.running()) == {"postgres", "redis", "gateway", "delivery-1", "guardian"}
    launcher.process.send_signal(number)
    code, _ = launcher.end()
    assert code == 0
    assert launcher.running() == []


def test_a_killed_launcher_leaves_no_process(launch: Callable[..., Launcher]) -> None:
    launcher = launch().ready()
    launcher.process.kill()
    launcher.end()
    until(lambda: not launcher.running(), "the end of all children")


def test_a_killed_launcher_leaves_no_process_even_if_a_service_ignores_sigterm(
    launch: Callable[..., Launcher],
) -> None:
    launcher = launch(STUBBORN="1").ready()
    launcher.process.kill()
    launcher.end()
    until(lambda: not launcher.running(), "the end of all children")


def test_a_service_that_ignores_sigterm_is_killed_and_named(launch: Callable[..., Launcher]) -> None:
    launcher = launch(STUBBORN="1").ready()
    launcher.process.terminate()
    code, errors = launcher.end()
    assert code == 0
    assert "gateway did not stop within 1 s and was killed" in errors
    assert launcher.running() == []


def test_what_a_killed_launcher_and_guardian_left_is_stopped_by_the_next_start(
    launch: Callable[..., Launcher],
) -> None:
    first = launch().ready()
    os.kill(first.pids["guardian"], signal.SIGKILL)
    first.process.kill()
    first.end()
    assert "gateway" in first.running()
    second = launch().ready()
    assert first.running() == []
    second.process.terminate()
    code, errors = second.end()
    assert code == 0
    assert "stopped leftovers: delivery-1, gateway, postgres, redis" in errors


def test_a_second_start_on_the_same_folder_is_refused_and_harms_nobody(
    launch: Callable[..., Launcher],
) -> None:
    first = launch().ready()
    code, errors = launch().end()
    assert code == 1
    assert f"in use by the running process {first.process.pid}" in errors
    assert len(first.running()) == 5


@pytest.mark.parametrize("name", ["gateway", "postgres", "redis", "guardian"])
def test_a_death_ends_the_whole_with_its_name(launch: Callable[..., Launcher], name: str) -> None:
    launcher = launch().ready()
    os.kill(launcher.pids[name], signal.SIGKILL)
    code, errors = launcher.end()
    assert code == 1
    assert name in errors
    assert "has died" in errors or "was ended by SIGKILL; everything else is being stopped" in errors
    assert launcher.running() == []


def test_a_killed_delivery_replica_is_reported_and_replaced(
    launch: Callable[..., Launcher], shared_folder: Path
) -> None:
    launcher = launch().ready()
    records = shared_folder / "data" / "processes.json"

    def recorded() -> dict[str, int]:
        return {record["name"]: record["pid"] for record in json.loads(records.read_text())}

    os.kill(launcher.pids["delivery-1"], signal.SIGKILL)
    until(lambda: recorded().get("delivery-1", launcher.pids["delivery-1"]) != launcher.pids["delivery-1"], "a new one")
    launcher.pids["replacement"] = recorded()["delivery-1"]
    assert pid_is_alive(launcher.pids["replacement"])
    launcher.process.terminate()
    code, errors = launcher.end()
    assert code == 0
    assert "delivery-1" in errors
    assert "was ended by SIGKILL; starting it again" in errors
    assert launcher.running() == []
