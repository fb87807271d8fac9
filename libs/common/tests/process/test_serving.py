"""A service as a process: exit statuses, drain, and the shared routes."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from harness.ports import held_port
from harness.waiting import eventually

EXAMPLE = Path(__file__).with_name("serving_example.py")

pytestmark = pytest.mark.process


def environment(port: int, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "BIND_PORT": str(port),
        "DATABASE_URL": "postgresql://nobody@127.0.0.1/none",
        "DRAIN_NOTICE_S": "0",
        **more,
    }


@asynccontextmanager
async def running(**more: str) -> AsyncIterator[tuple[subprocess.Popen[bytes], httpx.AsyncClient]]:
    with held_port() as port:
        process = await asyncio.to_thread(
            subprocess.Popen, [sys.executable, str(EXAMPLE)], env=environment(port, **more), stderr=subprocess.PIPE
        )
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

                async def listens() -> bool:
                    try:
                        return (await client.get("/health/live")).status_code == 200
                    except httpx.TransportError:
                        return False

                await eventually(listens, within_s=30)
                yield process, client
        finally:
            process.kill()
            process.wait()
        assert process.stderr is not None
        process.stderr.close()


async def test_a_request_in_flight_is_answered_before_the_process_ends() -> None:
    async with running() as (process, client):
        # Its bytes are with the kernel before another connection is opened, and so it is read before that is answered.
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.to_thread(_wait_for_request, client)
        process.send_signal(signal.SIGTERM)
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b'{"answer":"whole"}')
        assert await asyncio.to_thread(process.wait, 20) == 0


def _wait_for_request(client: httpx.AsyncClient) -> None:
    """One more answered request on another connection: the slow one, sent before, has been read by then."""
    httpx.get(f"{client.base_url}/health/live", timeout=5)


async def test_kept_connections_are_retired_before_the_listener_closes() -> None:
    """Else a client would send on one just as it is closed, and not know whether it was heard."""
    async with running(DRAIN_NOTICE_S="30") as (process, client):
        first = await client.get("/health/live")
        assert "connection" not in first.headers
        process.send_signal(signal.SIGTERM)

        async def told() -> bool:
            answer = await client.get("/health/live")
            return str(answer.headers.get("connection")) == "close"

        await eventually(told)
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        # The whole answer, and then the end, although the request asked to keep the connection.
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200")


async def test_readiness_says_503_before_the_listener_closes() -> None:
    async with running(DRAIN_NOTICE_S="20") as (process, client):
        assert (await client.get("/health/ready")).status_code == 200
        process.send_signal(signal.SIGTERM)

        async def draining() -> bool:
            response = await client.get("/health/ready")
            return response.status_code == 503 and response.json()["status"] == "draining"

        await eventually(draining)
        assert (await client.get("/health/live")).status_code == 200


async def test_a_port_in_use_is_said_and_the_status_is_1() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        finished = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, str(EXAMPLE)],
            env=environment(port),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert finished.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in finished.stderr


async def test_missing_settings_are_named_and_the_status_is_2() -> None:
    environ = {key: value for key, value in environment(1).items() if key not in {"BIND_PORT", "DATABASE_URL"}}
    finished = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(EXAMPLE)],
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert finished.returncode == 2
    assert "BIND_PORT is not set" in finished.stderr
    assert "DATABASE_URL is not set" in finished.stderr


async def test_a_bug_is_a_500_without_its_text_and_a_request_keeps_its_id() -> None:
    async with running() as (_, client):
        response = await client.get("/broken?token=hidden", headers={"x-request-id": "abc"})
        assert response.status_code == 500
        assert response.headers["content-type"].startswith("application/problem+json")
        assert "secret detail" not in response.text
        assert "hidden" not in response.text
        assert response.headers["x-request-id"] == "abc"


async def test_every_error_is_a_problem() -> None:
    async with running() as (_, client):
        for path, method, status in (("/none", "GET", 404), ("/slow", "POST", 405)):
            response = await client.request(method, path)
            assert response.status_code == status
            assert response.headers["content-type"].startswith("application/problem+json")
            assert response.json()["type"].startswith("urn:broadsheet:problem:")


async def test_metrics_count_requests_by_route_and_logs_hold_no_query_string() -> None:
    async with running() as (process, client):
        await client.get("/slow?email=reader@example.com")
        metrics = (await client.get("/metrics")).text
        assert re.search(r'http_requests_total\{method="GET",route="/slow",status="200"\} 1\.0', metrics)
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        stderr = await asyncio.to_thread(process.stderr.read)
    assert b"http.request" in stderr
    assert b"reader@example.com" not in stderr


UPLOAD = b"x" * (11 * 1024 * 1024)


async def pieces() -> AsyncIterator[bytes]:
    """The upload without a length announced."""
    for start in range(0, len(UPLOAD), 65_536):
        yield UPLOAD[start : start + 65_536]


async def test_an_answer_given_before_the_body_was_read_reaches_the_client() -> None:
    """A server that closes on unread bytes resets the connection, and the client loses the answer."""
    async with running() as (_, client):
        for _ in range(15):
            # Refused unread; larger than is taken; and to nowhere.
            for path, status in (("/refusal", 403), ("/length", 413), ("/nowhere", 404)):
                assert (await client.post(path, content=UPLOAD)).status_code == status
                assert (await client.post(path, content=pieces())).status_code == status
        assert (await client.post("/length", content=UPLOAD[:100])).json() == {"length": 100}


async def test_a_client_that_never_sends_its_body_is_answered_within_a_bound() -> None:
    async with running() as (_, client):
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(b"POST /refusal HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nonly this")
        await writer.drain()
        async with asyncio.timeout(30):
            assert b" 403 " in await reader.readline()
        writer.close()


async def test_a_client_that_asks_before_it_sends_is_answered_without_its_body() -> None:
    """`Expect: 100-continue`: no 100 comes, so the body stays where it is."""
    async with running() as (_, client):
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(b"POST /refusal HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")
        await writer.drain()
        async with asyncio.timeout(30):
            assert b" 403 " in await reader.readline()
        writer.close()
