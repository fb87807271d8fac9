"""Replicas that die are restarted, within a bound."""

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broadsheet_local.embedded.data_folder import DataFolder
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.child import LOG_BYTES_MAX, Child, ProcessSpec, bound_log
from broadsheet_local.supervision.guardian import Guardian
from broadsheet_local.supervision.leftovers import pid_is_alive
from broadsheet_local.supervision.supervisor import RestartPolicy, Supervisor

QUICK = RestartPolicy(in_a_row_max=3, delay_first_s=0.01, delay_max_s=0.02, steady_after_s=60)


@pytest.fixture
def guardian() -> Iterator[Guardian]:
    guardian = Guardian()
    guardian.start()
    yield guardian
    guardian.close()


def spec(folder: Path, script: str) -> ProcessSpec:
    return ProcessSpec(
        name="delivery-1",
        command=[sys.executable, "-c", script],
        environment={},
        log_path=folder / "logs" / "delivery-1.log",
        folder=folder,
    )


def test_a_replica_that_keeps_dying_is_given_up_after_its_bound_with_its_log(folder: Path, guardian: Guardian) -> None:
    said: list[str] = []
    supervisor = Supervisor(DataFolder(folder), guardian, said.append, QUICK)
    supervisor.start(spec(folder, "import sys; sys.exit('no luck today')"), restartable=True)
    with pytest.raises(LaunchError, match="exited with code 1, 4 times in a row") as caught:
        asyncio.run(asyncio.wait_for(supervisor.watch(), 30))
    assert "no luck today" in str(caught.value)
    assert supervisor.restarts == 3
    assert len([line for line in said if "starting it again" in line]) == 3


def test_a_replica_with_a_wrong_setting_is_not_started_again(folder: Path, guardian: Guardian) -> None:
    supervisor = Supervisor(DataFolder(folder), guardian, print, QUICK)
    supervisor.start(spec(folder, "import sys; sys.exit(2)"), restartable=True)
    with pytest.raises(LaunchError, match="exited with code 2; everything else is being stopped"):
        asyncio.run(asyncio.wait_for(supervisor.watch(), 30))
    assert supervisor.restarts == 0


def test_the_wait_between_restarts_doubles_up_to_its_bound() -> None:
    policy = RestartPolicy(delay_first_s=0.25, delay_max_s=10)
    assert [policy.delay_s(deaths) for deaths in range(1, 9)] == [0.25, 0.5, 1, 2, 4, 8, 10, 10]


def test_a_dead_childs_own_children_are_ended_too(folder: Path) -> None:
    script = (
        "import subprocess, sys;"
        "sleeper = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        "print(sleeper.pid, flush=True)"
    )
    child = Child(spec(folder, script))
    assert child.wait(20)
    grandchild = int(child.spec.log_path.read_text())
    assert child.exit_code() == 0
    deadline = time.monotonic() + 20
    while pid_is_alive(grandchild):
        assert time.monotonic() < deadline, "the grandchild outlived its parent"
        time.sleep(0.01)


def test_a_log_is_bounded_under_a_running_process(folder: Path) -> None:
    log = folder / "service.log"
    with log.open("ab") as writer:
        writer.write(b"x" * (LOG_BYTES_MAX + 100))
        writer.flush()
        bound_log(log)
        assert log.stat().st_size == 0
        writer.write(b"next line\n")
        writer.flush()
    assert log.read_bytes() == b"next line\n"
    assert (folder / "service.log.1").stat().st_size == LOG_BYTES_MAX


def test_a_data_folder_that_cannot_be_one_is_refused(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(LaunchError, match=r"the data folder cannot be .* is a file; choose another"):
        DataFolder(folder / "file" / "data").acquire()
