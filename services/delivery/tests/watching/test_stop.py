"""A delivery process that is told to stop while streams are open."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from broadsheet_common.contracts.identity import IDENTITY_HEADER, Identity, IdentityMinter
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import MAIL_FROM
from harness.keys import ERASURE_KEYS, LINK_SIGNING_KEYS, identity_keys, scopes
from harness.ports import held_port
from harness.seeding import Seed
from harness.waiting import eventually

pytestmark = pytest.mark.process


@pytest.fixture
def port() -> Iterator[int]:
    with held_port() as port:
        yield port


@pytest.fixture
def process(database: Database, sandbox: RunningSandbox, port: int) -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen(
        [sys.executable, "-m", "broadsheet_delivery"],
        stderr=subprocess.PIPE,
        env={
            "PATH": os.environ["PATH"],
            "BROADSHEET_ENV": "local",
            "BIND_PORT": str(port),
            "DATABASE_URL": database.url_for("delivery"),
            "PUBLIC_URL": "https://news.example.com",
            "IDENTITY_PUBLIC_KEY": identity_keys()[1],
            "LINK_SIGNING_KEYS": LINK_SIGNING_KEYS.reveal(),
            "ERASURE_KEYS": ERASURE_KEYS.reveal(),
            "MAIL_FROM": MAIL_FROM,
            "POSTMARK_BASE_URL": sandbox.base_url,
            "POSTMARK_SERVER_TOKEN": sandbox.token,
        },
    )
    yield started
    if started.poll() is None:
        started.kill()
    started.communicate(timeout=10)


async def test_streams_end_in_order_and_do_not_hold_the_stop_up(
    process: subprocess.Popen[bytes], port: int, seed: Seed
) -> None:
    identity = Identity("key:1", scopes("read"))
    headers = {IDENTITY_HEADER: IdentityMinter(identity_keys()[0]).mint(identity, "delivery")}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:

        async def is_ready() -> bool:
            assert process.poll() is None
            try:
                return (await client.get("/health/ready")).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(is_ready, within_s=60)
        received = b""
        async with client.stream("GET", "/api/v1/events") as answer:
            async for piece in answer.aiter_raw():
                received += piece
                if b"event: dashboard" in received and process.poll() is None:
                    process.send_signal(signal.SIGTERM)
        *_, last, nothing = received.split(b"\n\n")
        assert (last.startswith(b"retry: "), nothing) == (True, b"")
    _, log = await asyncio.to_thread(process.communicate, timeout=60)
    assert process.returncode == 0, log
    assert b"drain_bound_reached" not in log
