"""The command line: options, help, and clear refusals."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from broadsheet_local import chromium
from broadsheet_local.__main__ import main, parser
from broadsheet_local.errors import LaunchError


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["demo", "--subscribers", "0"], "--subscribers: 0 is not between 1 and 1000000"),
        (["demo", "--subscribers", "-5"], "--subscribers: -5 is not between"),
        (["demo", "--subscribers", "many"], "--subscribers: 'many' is not a whole number"),
        (["demo", "--latency-ms", "-1"], "--latency-ms: -1 is not between 0 and 60000"),
        (["up", "--replicas", "1000"], "--replicas: 1000 is not between 1 and 32"),
        (["up", "--gateway-port", "70000"], "--gateway-port: 70000 is not between 1 and 65535"),
        (["up", "--public-url", "example.com"], "--public-url: 'example.com' is not an http(s) address"),
        (["up", "--postmark-url", "ftp://example.com"], "--postmark-url: 'ftp://example.com' is not an http(s)"),
        (["sideways"], "invalid choice: 'sideways'"),
        ([], "required: command"),
    ],
)
def test_wrong_usage_is_named_and_exits_2(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parser().parse_args(arguments)
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


def test_a_postmark_without_a_token_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    monkeypatch.delenv("POSTMARK_SERVER_TOKEN", raising=False)
    monkeypatch.delenv("POSTMARK_SERVER_TOKEN_FILE", raising=False)
    with pytest.raises(SystemExit) as caught:
        main(["up", "--postmark-url", "https://api.postmarkapp.com", "--data-dir", str(folder / "data")])
    assert caught.value.code == 1
    assert "needs POSTMARK_SERVER_TOKEN" in capsys.readouterr().err
    assert not (folder / "data").exists()


def test_the_browser_that_the_environment_names_is_the_one(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    browser = folder / "browser"
    browser.write_text("#!/bin/sh\n")
    browser.chmod(0o755)
    monkeypatch.setenv("CHROMIUM", str(browser))
    assert chromium.find() == browser
    monkeypatch.setenv("CHROMIUM", str(folder / "absent"))
    with pytest.raises(LaunchError, match="which is not a program"):
        chromium.find()


def test_without_a_browser_the_way_out_is_told(folder: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from broadsheet_local import chromium; chromium.MAC_APPLICATIONS = (); chromium.main()",
        ],
        check=False,
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "CHROMIUM"} | {"PATH": str(folder)},
    )
    assert done.returncode == 1
    assert '-m "not browser"' in done.stderr
