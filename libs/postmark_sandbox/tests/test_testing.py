"""Starting a sandbox from tests, and what a failure inside it looks like."""

import httpx
import pytest
from structlog.testing import capture_logs

from broadsheet_postmark_sandbox.messages.message_log import MessageLog
from broadsheet_postmark_sandbox.testing import SandboxDriver, running_sandbox, running_sandbox_sync


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_sandbox_runs_beside_an_asynchronous_test() -> None:
    async with running_sandbox(token="mine", latency_ms=1) as running:
        assert running.token == running.headers["X-Postmark-Server-Token"] == "mine"
        async with httpx.AsyncClient(base_url=running.base_url, headers=running.headers) as client:
            body = {"From": "a@x.example", "To": "b@x.example", "TextBody": "x"}
            answer = await client.post("/email", json=body)
            assert answer.json()["ErrorCode"] == 0
        assert len(running.inner.log) == 1
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(running.base_url)


def test_two_sandboxes_run_side_by_side() -> None:
    with (
        running_sandbox_sync() as one,
        running_sandbox_sync() as other,
        SandboxDriver(one) as first,
        SandboxDriver(other) as second,
    ):
        first.send()
        assert (len(first.accepted()), len(second.accepted())) == (1, 0)


def test_a_port_that_is_taken_fails_at_once() -> None:
    with running_sandbox_sync() as one:
        port = int(one.base_url.rpartition(":")[2])
        with pytest.raises(OSError, match="cannot listen"), running_sandbox_sync(port=port):
            pass


def test_a_failure_inside_is_postmarks_error_500_and_logged(
    sandbox: SandboxDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(MessageLog, "append", fail)
        answer = sandbox.send()
    assert (answer.status_code, answer.json()["ErrorCode"]) == (500, 101)
    assert [(entry["event"], entry["path"]) for entry in logs] == [("sandbox.request_failed", "/email")]
    assert sandbox.send().status_code == 200
    with monkeypatch.context() as patched:
        patched.setattr(MessageLog, "read", fail)
        control = sandbox.http.get("/_sandbox/messages")
    assert (control.status_code, control.headers["content-type"]) == (500, "application/problem+json")
