"""`up` as people start it, with every service."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import psycopg
import pytest

from broadsheet_local.supervision.leftovers import pid_is_alive

pytestmark = pytest.mark.process

PROJECT = Path(__file__).parents[3]
READY_BOUND_S = 60.0
END_BOUND_S = 40.0


class Up:
    """One `up --json` on a data folder, by the command itself or through just."""

    def __init__(self, data: Path, *extra: str, through_just: bool = False) -> None:
        self.data = data
        command = ["just", "up"] if through_just else [sys.executable, "-m", "broadsheet_local", "up"]
        self.process = subprocess.Popen(
            [*command, "--json", "--data-dir", str(data), *extra],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        )
        self.told: dict[str, Any] = {}
        self.pids: dict[str, int] = {}

    def ready(self) -> "Up":
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        self.told = json.loads(line)
        self.pids = self.recorded()
        return self

    def recorded(self) -> dict[str, int]:
        return {record["name"]: record["pid"] for record in json.loads((self.data / "processes.json").read_text())}

    def end(self) -> tuple[int, str, str]:
        rest, errors = self.process.communicate(timeout=END_BOUND_S)
        return self.process.returncode, rest, errors

    def running(self) -> list[str]:
        return [name for name, pid in self.pids.items() if pid_is_alive(pid)]


@pytest.fixture
def start(shared_folder: Path) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start(*extra: str, through_just: bool = False) -> Up:
        up = Up(shared_folder / "data", *extra, through_just=through_just)
        started.append(up)
        return up

    yield start
    for up in started:
        up.process.kill()
        up.process.communicate()
    until(lambda: not any(up.running() for up in started), "the end of all children")


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + END_BOUND_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {END_BOUND_S} s: {what}"
        time.sleep(0.02)


def status_of(url: str, key: str | None = None) -> int:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return int(answer.status)


def test_up_tells_one_line_that_works_and_survives_a_restart(start: Callable[..., Up]) -> None:
    first = start("--replicas", "2").ready()
    told = first.told
    assert set(told) == {
        "gateway_url",
        "sandbox_url",
        "database_url",
        "redis_url",
        "api_key",
        "username",
        "password",
    }
    assert {"gateway", "subscriptions", "publishing", "delivery-1", "delivery-2", "sandbox"} <= set(first.running())
    assert status_of(f"{told['gateway_url']}/health-check") == 200
    assert status_of(f"{told['gateway_url']}/api/v1/issues", told["api_key"]) == 200
    assert status_of(f"{told['sandbox_url']}/_sandbox/health") == 200
    with psycopg.connect(told["database_url"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    first.process.send_signal(signal.SIGINT)
    code, rest, errors = first.end()
    assert (code, rest) == (0, "")
    assert "stopped (SIGINT)" in errors
    assert first.running() == []

    # Started again, through just, with the port taken that it had: the key is the same and still good.
    port = int(told["gateway_url"].rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        second = start(through_just=True).ready()
        assert second.told["gateway_url"] != told["gateway_url"]
        assert second.told["api_key"] == told["api_key"]
        assert status_of(f"{second.told['gateway_url']}/api/v1/issues", told["api_key"]) == 200
    # just passes this signal on; it does not pass on SIGINT, which a terminal sends to everybody.
    second.process.terminate()
    _, rest, errors = second.end()
    assert rest == ""
    assert port != 8081 or "port 8081 is in use; the gateway listens on" in errors
    assert second.running() == []


def test_a_gateway_port_that_was_asked_for_and_is_taken_is_an_error(start: Callable[..., Up]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, rest, errors = start("--gateway-port", port).end()
    assert (code, rest) == (1, "")
    assert f"port {port} (--gateway-port) is in use" in errors


def test_nothing_outlives_a_killed_just(start: Callable[..., Up]) -> None:
    up = start(through_just=True).ready()
    assert "gateway" in up.running()
    up.process.kill()
    up.end()
    until(lambda: not up.running(), "the end of all children")


def test_with_a_postmark_of_ones_own_there_is_no_sandbox(
    start: Callable[..., Up], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTMARK_SERVER_TOKEN", "a-token-of-ones-own")
    with socket.create_server(("127.0.0.1", 0)) as postmark:
        url = f"http://127.0.0.1:{postmark.getsockname()[1]}"
        up = start("--postmark-url", url, "--mail-from", "News <news@example.com>").ready()
        assert up.told["sandbox_url"] is None
        assert "sandbox" not in up.running()
        up.process.terminate()
        code, _, errors = up.end()
        assert code == 0
        assert "no --canary-address is given" in errors


def text_at(url: str, data: bytes | None = None) -> str:
    with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=10) as answer:
        return str(answer.read().decode())


def test_the_newsletter_has_the_name_and_the_sender_that_were_given_and_keeps_them(
    shared_folder: Path, start: Callable[..., Up]
) -> None:
    sender = ["--mail-from", "Käthe of the Weekly <weekly@news.example>"]
    named = start("--newsletter-name", "The <Weekly>", *sender).ready()
    assert "The &lt;Weekly&gt;" in text_at(f"{named.told['gateway_url']}/")
    named.process.terminate()
    assert named.end()[0] == 0
    kept = start().ready()
    assert "The &lt;Weekly&gt;" in text_at(f"{kept.told['gateway_url']}/")
    form = urllib.parse.urlencode({"name": "Ada", "email": "ada@mail.example"}).encode()
    text_at(f"{kept.told['gateway_url']}/subscriptions", form)
    messages: list[dict[str, Any]] = []

    def has_come() -> bool:
        messages.extend(json.loads(text_at(f"{kept.told['sandbox_url']}/_sandbox/messages"))["messages"])
        return bool(messages)

    until(has_come, "the confirmation")
    assert "weekly@news.example" in messages[0]["message"]["From"]
    assert "Käthe of the Weekly" in messages[0]["message"]["From"]
    assert "The <Weekly>" in messages[0]["message"]["Subject"]
    # Nothing of it shows in the list of processes, and no secret does.
    secrets = {path.read_text().strip() for path in (shared_folder / "data" / "secrets").iterdir()}
    secrets |= {path.read_text().strip() for path in (shared_folder / "data").rglob("*-password")}
    shown = [" ".join(psutil.Process(pid).cmdline()) for pid in kept.pids.values()]
    assert not [line for line in shown if any(secret in line for secret in secrets)]
    open_to_others = [
        path
        for path in (shared_folder / "data").rglob("*")
        if path.is_file() and path.stat().st_mode & 0o077 and any(s.encode() in path.read_bytes() for s in secrets)
    ]
    assert open_to_others == []
    kept.process.terminate()
    assert kept.end()[0] == 0
