"""Logs hold ids, never addresses, tokens or query strings, whoever wrote the text."""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from broadsheet_common.process.log_output import LogOutput, lost_lines
from broadsheet_common.process.metrics import Counter, Gauge, Histogram, metric_faults
from broadsheet_common.process.redaction import redact

TOKEN = "k1.AAAAAAAAAAGThXAhYm1fd0y9zi8jsYGs"
SCRIPT = f"""
import logging
import structlog
from broadsheet_common.process.logs import configure_logs

configure_logs(service="example", log_format="FORMAT", level="INFO")
log = structlog.get_logger()

def fail(address):
    secret = "{TOKEN}"
    raise ValueError(f"no room for {{address}} with {{secret}}")

try:
    fail("reader@example.com")
except ValueError as error:
    log.error("example.failed", subscriber_id=7, exc_info=error)
    logging.getLogger("library").error("GET http://host/path?token={TOKEN} for reader@example.com")
    logging.getLogger("httpx").info("HTTP Request: GET http://host/path?token=x")
    logging.getLogger("library").exception("as exception")
"""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_tracebacks_and_library_lines_are_redacted(log_format: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("FORMAT", log_format)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    for hidden in ("reader@example.com", TOKEN, "AAAAAAAAAAGThXAhYm1fd0y9zi8jsYGs", "HTTP Request"):
        assert hidden not in finished.stderr
    assert "example.failed" in finished.stderr
    assert "no room for [address] with" in finished.stderr
    if log_format == "json":
        lines = [msgspec.json.decode(line) for line in finished.stderr.splitlines()]
        assert lines[0]["subscriber_id"] == 7
        assert lines[0]["service"] == "example"
        assert lines[0]["exception"][0]["frames"][-1]["name"] == "fail"
        assert (
            "locals" not in lines[0]["exception"][0]["frames"][-1]
            or not lines[0]["exception"][0]["frames"][-1]["locals"]
        )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nothing to hide in issue 42-17", "nothing to hide in issue 42-17"),
        ("attempt 4c348103-39ff-4dbb-a1ae-017fbdae7810 ended", "attempt 4c348103-39ff-4dbb-a1ae-017fbdae7810 ended"),
        ("to 'reader@example.com', again", "to '[address]', again"),
        ("http://host/a?b=c failed", "http://host/a?[query] failed"),
        ("token bs_0a1b2c3d_" + "A" * 43, "token [token]"),
        (
            "sqlalchemy.dialects.postgresql.asyncpg.AsyncAdapt_asyncpg_dbapi",
            "sqlalchemy.dialects.postgresql.asyncpg.AsyncAdapt_asyncpg_dbapi",
        ),
    ],
)
def test_what_is_taken_out_and_what_stays(text: str, expected: str) -> None:
    assert redact(text) == expected


FAULTY = """
import logging, sys
import structlog
from broadsheet_common.process.log_output import lost_lines
from broadsheet_common.process.logs import configure_logs

configure_logs(service="example", log_format="FORMAT", level="INFO")
log = structlog.get_logger()

class Unprintable:
    def __repr__(self):
        raise RecursionError
    __str__ = __repr__

class Nasty(Exception):
    def __str__(self):
        raise MemoryError

try:
    raise Nasty
except Nasty as error:
    log.error("example.failed", value=Unprintable(), exc_info=error)
    log.exception("example.failed_too", exc_info=error)
    logging.getLogger("library").error("%d", "not a number")
    logging.getLogger("library").error("%s", Unprintable())
    logging.getLogger("library").exception("as exception")
for _ in range(COUNT):
    log.info("example.line", text="x" * 1000, odd="\\udcff")
print("done", lost_lines())
"""


def run_faulty(log_format: str, count: int, stderr: IO[bytes] | int) -> int:
    """Runs to its end whatever becomes of its log; how many lines it says it lost."""
    script = FAULTY.replace("FORMAT", log_format).replace("COUNT", str(count))
    finished = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=stderr, text=True, timeout=60, check=True
    )
    word, lost = finished.stdout.split()
    assert word == "done"
    return int(lost)


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_full_disk_costs_lines_and_nothing_else(log_format: str) -> None:
    with Path("/dev/full").open("wb") as full:
        assert run_faulty(log_format, 10, full) >= 10


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_closed_pipe_costs_lines_and_nothing_else(log_format: str) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        assert run_faulty(log_format, 10, write) >= 10
    finally:
        os.close(write)


def test_a_reader_that_has_stopped_reading_does_not_hold_the_work_up() -> None:
    read, write = os.pipe()
    try:
        # More than any pipe holds; each line alone waits at most once.
        assert run_faulty("json", 2_000, write) > 500
    finally:
        os.close(write)
        os.close(read)


def test_what_cannot_be_rendered_is_said_by_its_name() -> None:
    with tempfile.TemporaryFile() as log:
        assert run_faulty("json", 3, log) >= 1
        log.seek(0)
        lines = [json.loads(line) for line in log.read().splitlines()]
    assert {"event": "example.failed", "level": "error"}.items() <= lines[0].items()
    assert [line["event"] for line in lines][-3:] == ["example.line"] * 3


def test_a_line_that_was_cut_off_does_not_spoil_the_next_and_the_loss_is_told(tmp_path: Path) -> None:
    """As on a disk that is full for a while: a limit on the file's size stands for it."""
    path = tmp_path / "log"
    with path.open("wb") as file:
        output = LogOutput(file.fileno())
        output.msg('{"event": "first"}')
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (30, hard))
        try:
            before = lost_lines()
            output.msg('{"event": "second", "text": "this one is cut"}')
            output.msg('{"event": "third"}')
            assert lost_lines() == before + 2
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        output.msg('{"event": "fourth"}')
    lines = path.read_text().splitlines()
    assert lines[0] == '{"event": "first"}'
    assert lines[2:] == ['{"event": "logs.lines_lost", "lines": 2}', '{"event": "fourth"}']


def test_a_metric_that_is_set_wrongly_is_counted_and_the_work_goes_on() -> None:
    registry = CollectorRegistry()
    counter = Counter("things", "Things", ("kind",), registry=registry)
    gauge = Gauge("level", "A level", registry=registry)
    before = metric_faults()
    counter.labels("a", "too many").inc()
    counter.labels("a").inc(-1)
    gauge.set(None)  # type: ignore[arg-type]  # what a query may answer
    Histogram("sizes", "Sizes", registry=registry).observe("x")  # type: ignore[arg-type]
    assert metric_faults() == before + 4
    counter.labels("a").inc()
    assert registry.get_sample_value("things_total", {"kind": "a"}) == 1
