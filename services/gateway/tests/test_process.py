"""The gateway as a process: its start and stop, its log, and its sockets."""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher
from litestar.types import ASGIApp

from broadsheet_common.serving.http_server import ConnectionLimits, HttpServer
from broadsheet_common.serving.listener import listen
from broadsheet_gateway.pages.static_files import load_static_files
from broadsheet_gateway.settings import DEFAULT_PASSWORD
from broadsheet_local.embedded.redis import EmbeddedRedis
from harness.cluster import Database
from harness.keys import SECOND_FACTOR_KEYS, identity_keys
from harness.ports import held_port
from harness.waiting import eventually

from .conftest import PASSWORD, Gateway, RecordingService, execute, inbox_blocked, until_lock_is_waited_for

pytestmark = pytest.mark.process

START_TIMEOUT_S = 60.0


@pytest.fixture
def port() -> Iterator[int]:
    with held_port() as port:
        yield port


@pytest.fixture
def environment(database: Database, gateway_redis: EmbeddedRedis, port: int) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "BROADSHEET_ENV": "local",
        "BIND_PORT": str(port),
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "DATABASE_URL": database.url_for("gateway"),
        "REDIS_URL": gateway_redis.url,
        "SUBSCRIPTIONS_URL": "http://127.0.0.1:1",
        "PUBLISHING_URL": "http://127.0.0.1:1",
        "DELIVERY_URL": "http://127.0.0.1:1",
        "IDENTITY_PRIVATE_KEY": identity_keys()[0],
        "SECOND_FACTOR_KEYS": SECOND_FACTOR_KEYS.reveal(),
        "METRICS_TOKEN": "secret-metrics-token",
    }


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


def launch(environment: dict[str, str], *, files_max: int | None = None) -> subprocess.Popen[str]:
    limited = [] if files_max is None else ["prlimit", f"--nofile={files_max}"]
    return subprocess.Popen(
        [*limited, sys.executable, "-m", "broadsheet_gateway"], env=environment, stderr=subprocess.PIPE, text=True
    )


async def start(
    environment: dict[str, str], processes: list[subprocess.Popen[str]], *, files_max: int | None = None
) -> subprocess.Popen[str]:
    """A serving gateway, ready."""
    process = launch(environment, files_max=files_max)
    processes.append(process)

    async def is_ready() -> bool:
        assert process.poll() is None, process.communicate()[1]
        try:
            async with httpx.AsyncClient() as client:
                return (await client.get(f"{environment['PUBLIC_URL']}/health/ready")).status_code == 200
        except httpx.TransportError:
            return False

    await eventually(is_ready, within_s=START_TIMEOUT_S, what="the gateway is ready")
    return process


def run_to_its_end(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "broadsheet_gateway"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        check=False,
    )


def test_missing_settings_end_the_start_with_their_names(environment: dict[str, str]) -> None:
    missing = ("PUBLIC_URL", "IDENTITY_PRIVATE_KEY")
    done = run_to_its_end({name: value for name, value in environment.items() if name not in missing})
    assert done.returncode == 2
    for name in missing:
        assert f"{name} is not set" in done.stderr


def test_production_does_not_start_with_the_default_login(environment: dict[str, str], database: Database) -> None:
    execute(
        database.owner_url,
        "INSERT INTO gateway.user_account (username, password_hash) VALUES ('admin', %s)",
        PasswordHasher().hash(DEFAULT_PASSWORD),
    )
    done = run_to_its_end({**environment, "BROADSHEET_ENV": "production"})
    assert done.returncode == 1
    assert "default password" in done.stderr


async def test_it_serves_until_told_to_stop_and_logs_no_token_address_or_query(
    environment: dict[str, str], processes: list[subprocess.Popen[str]]
) -> None:
    process = await start(environment, processes)
    async with httpx.AsyncClient(base_url=environment["PUBLIC_URL"]) as client:
        assert (await client.get("/health/live")).json() == {"status": "live"}
        assert (await client.get("/")).status_code == 200
        await client.get("/unsubscribe/k1.secret-token-1")
        await client.post("/unsubscribe/k1.secret-token-1")
        await client.get("/subscriptions/confirm?subscription_token=secret-token-2")
        await client.post("/subscriptions/confirm", data={"subscription_token": "secret-token-2"})
        await client.post("/subscriptions", data={"name": "secret-name", "email": "secret@example.com"})
        await client.post("/login", data={"username": "secret-user", "password": "secret-password"})
        headers = {"authorization": f"Bearer bs_0123abcd_{'s' * 43}"}
        assert (await client.get("/api/v1/issues?secret=secret", headers=headers)).status_code == 401
        token = {"authorization": "Bearer secret-metrics-token"}
        metrics = await client.get("/metrics", headers=token)
        assert 'http_requests_total{method="GET",route="/",status="200"} 1.0' in metrics.text
        assert 'route="/api/v1/issues"' in metrics.text
        assert (await client.get("/metrics")).status_code == 404
    process.send_signal(signal.SIGTERM)
    _, log = await asyncio.to_thread(process.communicate, timeout=START_TIMEOUT_S)
    assert process.returncode == 0
    assert "service.stopped" in log
    assert log.count('"event":"http.request"') >= 8
    assert "secret" not in log
    assert "0123abcd" not in log


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """The service on a real socket; answers its address."""
    with held_port() as port, listen("127.0.0.1", port) as listener:
        limits = ConnectionLimits(
            connections_max=100,
            first_byte_timeout_s=30,
            header_timeout_s=30,
            body_idle_timeout_s=30,
            keep_alive_timeout_s=30,
            write_timeout_s=30,
        )
        stop = asyncio.Event()
        task = asyncio.create_task(HttpServer(app, listener, limits).serve(stop, drain_s=10))
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            stop.set()
            await asyncio.wait_for(task, 20)


async def test_over_sockets_bodies_stream_through_and_bounds_hold(
    environment: dict[str, str], processes: list[subprocess.Popen[str]], gateway: Gateway
) -> None:
    key = await gateway.add_api_key("read", "write")
    service = RecordingService("publishing")
    async with served(service) as address:
        await start({**environment, "PUBLISHING_URL": address}, processes)
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        async with httpx.AsyncClient(base_url=environment["PUBLIC_URL"], headers=headers, timeout=30) as client:
            body = os.urandom(3 * 1024 * 1024)

            async def pieces(count: int) -> AsyncIterator[bytes]:
                for start_at in range(0, count, 65_536):
                    yield body[start_at % len(body) :][:65_536]

            assert (await client.post("/api/v1/issues", content=body)).status_code == 200
            assert service.last.body == body
            assert (await client.post("/api/v1/issues", content=pieces(len(body)))).status_code == 200
            assert service.last.body == body
            assert (await client.post("/api/v1/issues", content=b"{}")).status_code == 200
            assert (await client.get("/api/v1/issues?a=%2Fb&c=d+e")).status_code == 200
            assert service.last.headers.get("content-length", "0") == "0"
            handled = len(service.received)
            too_large = await client.post("/api/v1/issues", content=pieces(11 * 1024 * 1024))
            assert too_large.status_code == 413
            assert len(service.received) == handled
            answer = os.urandom(2 * 1024 * 1024)
            service.answer("GET", "/api/v1/issues", body=answer)
            assert (await client.get("/api/v1/issues")).content == answer
    async with httpx.AsyncClient(base_url=environment["PUBLIC_URL"], headers=headers) as client:
        away = await client.get("/api/v1/issues")
        assert away.status_code == 503


class StreamingService:
    """Answers everything with events, until the client has gone."""

    def __init__(self, event: bytes, *, pause_s: float) -> None:
        self._event = event
        self._pause_s = pause_s
        self.streams = 0
        self.gone = 0

    async def __call__(self, _: Any, receive: Any, send: Any) -> None:
        await receive()
        leaving = asyncio.create_task(receive())
        self.streams += 1
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while not leaving.done():
            sending = asyncio.create_task(send({"type": "http.response.body", "body": self._event, "more_body": True}))
            await asyncio.wait({leaving, sending}, return_when=asyncio.FIRST_COMPLETED)
            sending.cancel()
            await asyncio.sleep(self._pause_s)
        self.gone += 1


async def test_a_stream_ends_in_order_when_the_gateway_is_told_to_stop(
    environment: dict[str, str], processes: list[subprocess.Popen[str]], gateway: Gateway
) -> None:
    key = await gateway.add_api_key("read")
    service = StreamingService(b"event: issue\ndata: {}\n\n", pause_s=0.05)
    async with served(service) as address:
        process = await start({**environment, "DELIVERY_URL": address}, processes)
        headers = {"authorization": f"Bearer {key}"}
        async with (
            httpx.AsyncClient(base_url=environment["PUBLIC_URL"], headers=headers, timeout=30) as client,
            client.stream("GET", "/api/v1/events") as answer,
        ):
            received = b""
            async for piece in answer.aiter_raw():  # to its end, without an error
                if not received:
                    process.send_signal(signal.SIGTERM)
                received += piece
        *events, last, nothing = received.split(b"\n\n")
        assert set(events) == {b"event: issue\ndata: {}"}
        assert last.startswith(b"retry: ")
        assert nothing == b""
        _, log = await asyncio.to_thread(process.communicate, timeout=START_TIMEOUT_S)
        assert process.returncode == 0, log
        assert "drain_bound_reached" not in log
        await eventually(lambda: service.gone == 1, what="the service knows that the stream is over")


async def test_who_does_not_read_a_stream_is_cut_off_and_the_service_is_told(
    environment: dict[str, str], processes: list[subprocess.Popen[str]], gateway: Gateway
) -> None:
    key = await gateway.add_api_key("read")
    service = StreamingService(b"data: " + b"x" * 50_000 + b"\n\n", pause_s=0.0)
    async with served(service) as address:
        await start({**environment, "DELIVERY_URL": address, "WRITE_TIMEOUT_S": "0.5"}, processes)
        with socket.socket() as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect(("127.0.0.1", int(environment["BIND_PORT"])))
            reader.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
            await eventually(lambda: service.gone == 1, within_s=START_TIMEOUT_S, what="the stream is cut off")
        assert service.streams == 1


async def test_webhooks_that_wait_when_it_is_told_to_stop_are_stored_and_answered(
    environment: dict[str, str], processes: list[subprocess.Popen[str]], database: Database
) -> None:
    execute(database.owner_url, "TRUNCATE delivery.provider_event_inbox")
    given = {"POSTMARK_WEBHOOK_USER": "postmark", "POSTMARK_WEBHOOK_PASSWORD": "webhook-password"}
    process = await start({**environment, **given}, processes)
    url = environment["PUBLIC_URL"]

    async def has_closed() -> bool:
        try:
            async with httpx.AsyncClient() as another:
                await another.get(f"{url}/health/live")
        except httpx.TransportError:
            return True
        return False

    async with httpx.AsyncClient(base_url=url, auth=("postmark", "webhook-password"), timeout=30) as client:
        with inbox_blocked(database):
            posting = [asyncio.create_task(client.post("/webhooks/postmark", json={"N": n})) for n in range(20)]
            await until_lock_is_waited_for(database)
            process.send_signal(signal.SIGTERM)
            await eventually(has_closed, what="the listener is closed")
        assert [answer.status_code for answer in await asyncio.gather(*posting)] == [200] * 20
    _, log = await asyncio.to_thread(process.communicate, timeout=START_TIMEOUT_S)
    assert process.returncode == 0, log
    assert execute(database.owner_url, "SELECT count(*) FROM delivery.provider_event_inbox") == [(20,)]


async def test_silent_sockets_beyond_what_the_process_may_open_keep_nobody_out(
    environment: dict[str, str], processes: list[subprocess.Popen[str]], gateway: Gateway
) -> None:
    """With the defaults for time: nothing of this waits for one of them."""
    await gateway.add_user()
    await start(environment, processes, files_max=1024)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))  # an ordinary user often starts with 1024
    silent: list[socket.socket] = []
    try:
        place = ("127.0.0.1", int(environment["BIND_PORT"]))
        silent.extend(socket.create_connection(place, timeout=30) for _ in range(1100))
        async with httpx.AsyncClient(base_url=environment["PUBLIC_URL"], timeout=30) as client:
            answer = await client.post("/login", data={"username": "author", "password": PASSWORD})
            assert (answer.status_code, answer.headers["location"]) == (303, "/admin/dashboard")
            assert (await client.get("/admin/password")).status_code == 200
    finally:
        for one in silent:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_silent_clients_and_slow_readers_from_many_addresses_leave_the_rest_served(
    environment: dict[str, str], processes: list[subprocess.Popen[str]], gateway: Gateway
) -> None:
    """1,100 of them at a process that may open 1,024 files. No time limit helps: places are taken from who stalls."""
    await gateway.add_user()
    patient = {"FIRST_BYTE_TIMEOUT_S": "600", "KEEP_ALIVE_TIMEOUT_S": "600", "WRITE_TIMEOUT_S": "600"}
    await start({**environment, **patient}, processes, files_max=1024)
    large = load_static_files()["swagger-ui-bundle.js"].name
    asked = f"GET /static/{large} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    place = ("127.0.0.1", int(environment["BIND_PORT"]))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    held: list[socket.socket] = []

    def attack() -> None:
        for number in range(1100):
            one = socket.socket()
            held.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.bind((f"127.0.0.{2 + number % 8}", 0))
            with contextlib.suppress(ConnectionError):  # some are closed at once
                one.connect(place)
                if number % 2:
                    one.sendall(asked)

    try:
        await asyncio.to_thread(attack)

        async def may_sign_in() -> bool:
            try:
                async with httpx.AsyncClient(base_url=environment["PUBLIC_URL"], timeout=30) as client:
                    answer = await client.post("/login", data={"username": "author", "password": PASSWORD})
            except httpx.TransportError:
                return False
            return answer.status_code == 303

        await eventually(may_sign_in, what="somebody else may sign in")
        for _ in range(30):  # each on a connection of its own
            async with httpx.AsyncClient(base_url=environment["PUBLIC_URL"], timeout=30) as client:
                assert (await client.get("/login")).status_code == 200
        async with httpx.AsyncClient(
            base_url=environment["PUBLIC_URL"], headers={"authorization": "Bearer secret-metrics-token"}
        ) as client:
            metrics = (await client.get("/metrics")).text
        assert 'http_connections_closed_total{reason="evicted"}' in metrics
    finally:
        for one in held:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_one_address_cannot_take_all_places(
    environment: dict[str, str], processes: list[subprocess.Popen[str]]
) -> None:
    """Unless it is a trusted proxy's, behind which there are many clients."""
    place = ("127.0.0.1", int(environment["BIND_PORT"]))
    for given, is_counted in (({}, True), ({"TRUSTED_PROXIES": "127.0.0.0/8"}, False)):
        process = await start({**environment, "CONNECTIONS_PER_ADDRESS_MAX": "20", **given}, processes)
        held = [socket.create_connection(place, timeout=30) for _ in range(40)]
        async with httpx.AsyncClient(
            base_url=environment["PUBLIC_URL"], headers={"authorization": "Bearer secret-metrics-token"}
        ) as client:
            metrics = (await client.get("/metrics")).text
        assert ('http_connections_closed_total{reason="address"}' in metrics) == is_counted
        for one in held:
            one.close()
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.communicate, timeout=START_TIMEOUT_S)


async def test_addresses_are_read_from_all_lines_and_a_raw_query_is_refused(
    environment: dict[str, str], processes: list[subprocess.Popen[str]], gateway: Gateway
) -> None:
    await gateway.add_user()
    key = await gateway.add_api_key("read")
    service = RecordingService("subscriptions")
    async with served(service) as address:
        given = {"SUBSCRIPTIONS_URL": address, "TRUSTED_PROXIES": "127.0.0.1/32", "LOGIN_LIMIT_PER_IP": "5/3600"}
        await start({**environment, **given}, processes)

        async def ask(*lines: str, body: bytes = b"") -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(environment["BIND_PORT"]))
            head = "\r\n".join([*lines, "Host: x", "Connection: close", f"Content-Length: {len(body)}", "", ""])
            writer.write(head.encode() + body)
            async with asyncio.timeout(30):
                answer = await reader.read()
            writer.close()
            return answer.partition(b"\r\n")[0]

        form = b"username=author&password=wrong"
        statuses = [
            await ask(
                "POST /login HTTP/1.1",
                f"X-Forwarded-For: 198.51.100.{n}",  # the client's
                "Content-Type: application/x-www-form-urlencoded",
                "X-Forwarded-For: 203.0.113.9",  # the proxy's
                body=form,
            )
            for n in range(8)
        ]
        assert [b" 429 " in status for status in statuses] == [False] * 5 + [True] * 3
        authorization = f"Authorization: Bearer {key}"
        assert b" 400 " in await ask("GET /api/v1/subscribers?name_prefix=Å HTTP/1.1", authorization)
        assert b" 200 " in await ask("GET /api/v1/subscribers?name_prefix=%C3%85 HTTP/1.1", authorization)
        assert service.last.query == "name_prefix=%C3%85"
