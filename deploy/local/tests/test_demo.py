"""The whole `demo`: everybody gets the issue once, also when a delivery process is killed meanwhile."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

BOUND_S = 180.0


class DemoRun:
    """A demo under way; its standard error is read as it comes."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "broadsheet_local", "demo", "--json", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.errors = ""
        self._reader = threading.Thread(target=self._read_errors)
        self._reader.start()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors += line

    def until_said(self, pattern: str) -> re.Match[str]:
        deadline = time.monotonic() + BOUND_S
        while (found := re.search(pattern, self.errors)) is None:
            assert self.process.poll() is None, self.errors
            assert time.monotonic() < deadline, self.errors
            time.sleep(0.02)
        return found

    def result(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        lines = self.process.stdout.read().splitlines()
        code = self.process.wait(BOUND_S)
        self._reader.join()
        self.process.stdout.close()
        assert self.process.stderr is not None
        self.process.stderr.close()
        assert code == 0, self.errors
        result: dict[str, Any] = json.loads(lines[-1])
        return result


def test_everybody_gets_the_issue_once_although_a_delivery_process_is_killed() -> None:
    demo = DemoRun("--subscribers", "300", "--replicas", "2", "--latency-ms", "400")
    folder = Path(demo.until_said(r"starting everything in (\S+)").group(1))
    demo.until_said(r"confirm: 300 of 300")
    pids = {record["name"]: record["pid"] for record in json.loads((folder / "processes.json").read_text())}
    os.kill(pids["delivery-2"], signal.SIGKILL)
    result = demo.result()
    assert result["subscribers"] == result["confirmed"] == result["accepted"] == 300
    assert result["missing"] == result["duplicates"] == result["strangers"] == 0
    assert result["counts"]["audience"] == result["counts"]["accepted"] == 300
    assert 0 < result["enqueue_seconds"] <= result["delivery_seconds"]
    assert (result["replicas"], result["latency_ms"], result["imported"]) == (2, 400, False)
    assert result["replicas_restarted"] == 1
    assert result["warnings"] <= 2, "Postmark may not have been asked yet about the sender and the stream"
    assert 10_000 < result["html_bytes"] < 60_000
    assert result["archive_path"] == "/newsletters/newsletter/issues/first-issue"
    assert not folder.exists()
