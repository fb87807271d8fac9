"""`chaos` as a command: a short selection of its scenarios, whole. The rest has a recipe of its own: `./run chaos`."""

import json
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.process

BOUND_S = 300.0


def run_chaos(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "broadsheet_local", "chaos", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=BOUND_S)


def test_nobody_is_lost_or_doubled_when_a_sender_is_killed_and_when_answers_are_lost() -> None:
    done = run_chaos(
        "--fault", "kill9-delivery", "--fault", "answer-dropped", "--seeds", "1", "--jobs", "2", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert (result["scenarios"], result["seeds"]) == (2, 1)
    assert result["lost"] == result["duplicates"] == result["unsettled"] == result["failed"] == 0
    assert result["shortened_settings"]["DELIVERY_LEASE_S"] == "6"
    assert [fault["name"] for fault in result["faults"]] == ["kill9-delivery", "answer-dropped"]
    for fault in result["faults"]:
        assert fault["seeds"] == 1
        assert fault["failed_seeds"] == []
        assert fault["worst_recovery_seconds"] > 0


def test_an_unknown_fault_is_refused() -> None:
    done = run_chaos("--fault", "earthquake")
    assert done.returncode == 1
    assert "no such fault: earthquake" in done.stderr
