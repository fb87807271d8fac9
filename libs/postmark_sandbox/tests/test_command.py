"""The command: where it refuses to start, and how it ends."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from broadsheet_postmark_sandbox.__main__ import settings_from
from broadsheet_postmark_sandbox.settings import DEFAULT_TOKEN

COMMAND = [sys.executable, "-m", "broadsheet_postmark_sandbox"]


@contextmanager
def started(*flags: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", *flags],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stderr is not None
    try:
        found = re.search(r"http://[0-9.:]+", process.stderr.readline())
        assert found is not None, process.stderr.read()
        yield process, found[0]
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with started(TMPDIR=str(tmp_path), POSTMARK_SERVER_TOKEN="mine") as (process, url):
        headers = {"Accept": "application/json", "X-Postmark-Server-Token": "mine"}
        with httpx.Client(base_url=url, headers=headers) as client:
            body = {"From": "a@x.example", "To": "b@x.example", "TextBody": "x"}
            client.post("/email", json=body).raise_for_status()
            client.put(
                "/_sandbox/faults", json={"rules": [{"kind": "hang", "match": {"path": "/server"}}]}
            ).raise_for_status()
            with pytest.raises(httpx.ReadTimeout):
                client.get("/server", timeout=0.1)
            assert list(tmp_path.iterdir()) == []
            begin = time.monotonic()
            process.send_signal(number)
            assert process.wait(timeout=10) == 0
            assert time.monotonic() - begin < 5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
def test_a_port_in_use_is_said_and_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode != 0
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.process
def test_a_data_folder_that_cannot_be_made_is_said_and_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    flags = ["--port", "0", "--data-dir", str(tmp_path / "file" / "x")]
    ended = subprocess.run([*COMMAND, *flags], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode != 0
    assert "--data-dir" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("value", ["production", " Production "])
def test_it_refuses_to_start_in_production(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        settings_from([], {"BROADSHEET_ENV": value})
    assert ended.value.code == 2
    assert "refusing to start: BROADSHEET_ENV is production" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags",
    [["--latency-ms", "-1"], ["--port", "70000"], ["--broadcast-unsubscribe", "mine"], ["--webhook-retry-scale", "-1"]],
)
def test_bad_flags_are_refused(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        settings_from(flags, {})
    assert ended.value.code == 2
    assert flags[0] in capsys.readouterr().err


def test_flags_and_environment_become_settings() -> None:
    settings = settings_from(
        ["--broadcast-unsubscribe", "postmark", "--webhook-url", "http://a/", "--webhook-url", "http://b/"],
        {"POSTMARK_SERVER_TOKEN": "t", "POSTMARK_WEBHOOK_USER": "u", "POSTMARK_WEBHOOK_PASSWORD": "p"},
    )
    assert settings.broadcast_unsubscribe == "Postmark"
    assert settings.webhook_urls == ("http://a/", "http://b/")
    assert (settings.token, settings.webhook_user, settings.webhook_password) == ("t", "u", "p")
    assert settings_from(["--token", "flag"], {"POSTMARK_SERVER_TOKEN": "t"}).token == "flag"
    assert settings_from([], {}).token == DEFAULT_TOKEN
    assert settings_from([], {}).broadcast_unsubscribe == "Custom"


def test_the_help_says_whose_default_custom_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        settings_from(["--help"], {})
    shown = " ".join(capsys.readouterr().out.split())
    assert "Real Postmark's default is `postmark`" in shown
    assert "RFC 8058" in shown


def test_the_help_shows_no_token_of_the_environment(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        settings_from(["--help"], {"POSTMARK_SERVER_TOKEN": "a-real-token"})
    assert "a-real-token" not in capsys.readouterr().out
