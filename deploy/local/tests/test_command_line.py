"""The command line: options, help, and clear refusals."""

import errno
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
        (["up", "--mail-from", "Weekly"], "--mail-from: 'Weekly' is not an e-mail address"),
        (["up", "--mail-from", "Weekly <weekly@>"], "--mail-from: 'Weekly <weekly@>' is not a sender"),
        (["demo", "--mail-from", "A\r\nBcc: b@example.com <a@example.com>"], "is not a sender"),
        (["up", "--newsletter-name", " "], "--newsletter-name: a name has 1 to 200 printable characters"),
        (["up", "--canary-address", "canary"], "--canary-address: 'canary' is not an e-mail address"),
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


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The error message, in one line, of an `up` that is refused."""
    with pytest.raises(SystemExit) as caught:
        main(["up", *arguments])
    assert caught.value.code == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("broadsheet: ")
    return said


def test_a_postmark_without_a_sender_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    monkeypatch.setenv("POSTMARK_SERVER_TOKEN", "a-token-of-ones-own")
    monkeypatch.delenv("MAIL_FROM", raising=False)
    said = refusal(capsys, "--postmark-url", "https://api.postmarkapp.com", "--data-dir", str(folder / "data"))
    assert "needs --mail-from" in said
    assert not (folder / "data").exists()


def test_a_data_folder_that_cannot_be_one_is_named_with_its_reason(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    file = folder / "file"
    file.write_text("")
    assert f"cannot be {file}: {file} is a file" in refusal(capsys, "--data-dir", str(file))
    assert f"cannot be {file}/below: {file} is a file" in refusal(capsys, "--data-dir", str(file / "below"))
    assert "too long for this system" in refusal(capsys, "--data-dir", str(folder / ("x" * 300)))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_data_folder_that_is_not_ours_is_named(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o500)
    assert "not allowed to write" in refusal(capsys, "--data-dir", str(closed / "data"))
    assert "is not writable" in refusal(capsys, "--data-dir", str(closed))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_called_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, number: int
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("broadsheet_local.system.load_or_create", no_room)
    assert f"the disk of {folder / 'data'} is full" in refusal(capsys, "--data-dir", str(folder / "data"))


def test_wrong_settings_of_every_service_are_named_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    monkeypatch.setenv("DELIVERY_LEASE_S", "3")
    monkeypatch.setenv("SESSION_IDLE_S", "soon")
    monkeypatch.setenv("WEBHOOK_ALLOW_HTTP", "perhaps")
    with pytest.raises(SystemExit) as caught:
        main(["up", "--data-dir", str(folder / "data")])
    assert caught.value.code == 1
    said = capsys.readouterr().err
    assert "nothing was started" in said
    assert "delivery: DELIVERY_LEASE_S must exceed DELIVERY_HTTP_TIMEOUT_S" in said
    assert "gateway: SESSION_IDLE_S is malformed" in said
    assert "subscriptions: WEBHOOK_ALLOW_HTTP is malformed" in said
    assert not (folder / "data" / "postgres" / "cluster").exists()
    assert list((folder / "data" / "logs").iterdir()) == []


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
