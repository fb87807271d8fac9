"""A disk that is full, for the logs and for the database: work goes on, and who must wait is told so."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.keys import ERASURE_KEYS, LINK_SIGNING_KEYS, identity_keys
from harness.oracle import Oracle
from harness.ports import held_port
from harness.seeding import Seed
from harness.system import System
from harness.waiting import eventually

_FULL = """
    CREATE FUNCTION public.disk_full() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '{state}'; END $$;
    CREATE TRIGGER disk_full BEFORE INSERT ON subscriptions.subscriber EXECUTE FUNCTION public.disk_full();
"""
_ROOM = "DROP TRIGGER disk_full ON subscriptions.subscriber; DROP FUNCTION public.disk_full()"


@pytest.mark.parametrize("state", ["53100", "58030", "53200"])
async def test_a_sign_up_on_a_full_disk_is_asked_to_come_again(system: System, state: str) -> None:
    await system.run_sql(_FULL.format(state=state))
    try:
        page = await system.subscribe("r@example.com")
    finally:
        await system.run_sql(_ROOM)
    assert (page.status_code, page.headers["retry-after"]) == (503, "5"), page.text
    assert "text/html" in page.headers["content-type"]
    assert (await system.subscribe("r@example.com")).status_code == 200


@pytest.fixture
def port() -> Iterator[int]:
    with held_port() as port:
        yield port


@pytest.fixture
def sender(database: Database, sandbox: RunningSandbox, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A delivery process whose log goes to a disk that is full."""
    environment = {
        "BROADSHEET_ENV": "local",
        "BIND_PORT": str(port),
        "DATABASE_URL": database.url_for("delivery"),
        "PUBLIC_URL": "https://news.example.com",
        "IDENTITY_PUBLIC_KEY": identity_keys()[1],
        "LINK_SIGNING_KEYS": LINK_SIGNING_KEYS.reveal(),
        "ERASURE_KEYS": ERASURE_KEYS.reveal(),
        "MAIL_FROM": "Broadsheet <newsletter@example.com>",
        "POSTMARK_BASE_URL": sandbox.base_url,
        "POSTMARK_SERVER_TOKEN": sandbox.token,
    }
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            [sys.executable, "-m", "broadsheet_delivery"], env=environment, stdout=full, stderr=full
        )
    yield process
    if process.poll() is None:
        process.kill()
        process.wait(10)


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
async def test_a_sender_whose_log_is_on_a_full_disk_sends_on(
    sender: subprocess.Popen[bytes], seed: Seed, oracle: Oracle, port: int
) -> None:
    """Through a fault that is worth a line in every loop: the database goes away and comes back."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:

        async def is_ready() -> bool:
            assert sender.poll() is None
            try:
                return (await client.get("/health/ready")).status_code == 200
            except httpx.TransportError:
                return False

        async def has_failed() -> bool:
            loops = (await client.get("/health/ready")).json()["loops"]
            return all(loops[name]["failures"] > 0 for name in ("delivery.chunks", "delivery.transactional_mails"))

        await eventually(is_ready, within_s=60, what="the sender is ready")
        seed.execute("UPDATE pg_database SET datconnlimit = 0 WHERE datname = current_database()")
        seed.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await eventually(has_failed, within_s=60, what="its loops have failed")
        seed.execute("UPDATE pg_database SET datconnlimit = -1 WHERE datname = current_database()")
        seed.published_issue(seed.subscribers(50))
        await eventually(lambda: len(oracle.messages()) == 50, within_s=60, what="the issue is out")
        await eventually(is_ready, within_s=60, what="the sender is ready again")
        metrics = (await client.get("/metrics")).text
    [lost] = [line for line in metrics.splitlines() if line.startswith("log_lines_lost_total")]
    assert float(lost.split()[1]) > 5
    sender.terminate()
    await eventually(lambda: sender.poll() is not None, within_s=60, what="it has ended")
    assert sender.returncode == 0
