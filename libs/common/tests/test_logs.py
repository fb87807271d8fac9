"""Logs hold ids, never addresses, tokens or query strings, whoever wrote the text."""

import subprocess
import sys

import msgspec
import pytest

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
