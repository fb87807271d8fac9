"""The upload of the page for imports over real sockets: large files, refusals while they are sent, files that break
off.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from broadsheet_local.system import LocalSystem
from harness.seeding import Seed
from harness.waiting import eventually

BOUNDARY = "----BroadsheetTest"
KINDS = {"content-type": f"multipart/form-data; boundary={BOUNDARY}", "accept": "text/html"}
ROW = b"somebody-%07d@example.com,Somebody with a name of some length and a number %07d\n"
MEGABYTE = 1024 * 1024


@pytest.fixture
async def author(processes: LocalSystem, stored: Seed) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=processes.addresses.gateway_url, timeout=60) as client:
        form = {"username": processes.username, "password": processes.password}
        assert (await client.post("/login", data=form)).status_code == 303
        yield client


async def _token(client: httpx.AsyncClient) -> str:
    found = re.search(r'name="csrf_token" value="([0-9a-f]+)"', (await client.get("/admin/imports/new")).text)
    assert found is not None
    return found[1]


def _head(**fields: str) -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    file = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="people.csv"\r\n\r\n'
    return ("".join(parts) + file).encode()


async def _form(rows: int, **fields: str) -> AsyncIterator[bytes]:
    yield _head(**fields)
    yield b"email,name\n"
    for start in range(0, rows, 1_000):
        yield b"".join(ROW % (number, number) for number in range(start, min(start + 1_000, rows)))
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


def _statuses(stored: Seed) -> list[str]:
    return [str(status) for (status,) in stored.execute("SELECT status FROM subscriptions.import_job ORDER BY id")]


async def test_a_large_file_passes_through_a_gateway_that_does_not_grow_by_it(
    processes: LocalSystem, author: httpx.AsyncClient, stored: Seed
) -> None:
    rows = 1_500_000  # some 130 MB
    gateway = _process_at(processes.addresses.gateway_url)
    before, most = gateway.memory_info().rss, 0

    async def watched() -> AsyncIterator[bytes]:
        nonlocal most
        async for piece in _form(rows, csrf_token=await _token(author), consent_basis="They agreed."):
            most = max(most, gateway.memory_info().rss)
            yield piece

    made = await author.post("/admin/imports/new", content=watched(), headers=KINDS)
    assert made.status_code == 303, made.text
    assert most - before < 60 * MEGABYTE
    assert stored.execute("SELECT sum(length(content)) > 120000000 FROM subscriptions.import_piece") == [(True,)]
    cancelled = await author.post(f"{made.headers['location']}/cancel", data={"csrf_token": await _token(author)})
    assert cancelled.status_code == 303


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"newsletter": "987654"}, 422, "There is no such newsletter."),
        ({"consent_basis": ""}, 422, "Say why these people may be written to."),
        ({"csrf_token": "wrong"}, 403, "out of date"),
    ],
    ids=["by the service", "by the page", "without the token"],
)
async def test_a_refusal_reaches_a_browser_that_still_sends(
    author: httpx.AsyncClient, stored: Seed, fields: dict[str, str], status: int, says: str
) -> None:
    given = {"csrf_token": await _token(author), "consent_basis": "They agreed."} | fields
    headers = KINDS | {"sec-fetch-site": "same-origin"}
    refused = await author.post("/admin/imports/new", content=_form(200_000, **given), headers=headers)
    assert (refused.status_code, says in refused.text) == (status, True), refused.text
    assert set(_statuses(stored)) <= {"uploading"}


async def test_a_file_that_breaks_off_is_never_imported(
    processes: LocalSystem, author: httpx.AsyncClient, stored: Seed
) -> None:
    host, port = urlsplit(processes.addresses.gateway_url).netloc.split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = _head(csrf_token=await _token(author), consent_basis="They agreed.")
    cookie = "; ".join(f"{name}={value}" for name, value in author.cookies.items())
    writer.write(
        f"POST /admin/imports/new HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n"
        f"Content-Type: {KINDS['content-type']}\r\nContent-Length: 100000000\r\n\r\n".encode()
        + head
        + b"email\n"
        + b"".join(b"somebody-%07d@example.com\n" % number for number in range(100_000))
    )
    await writer.drain()
    await eventually(
        lambda: stored.count("subscriptions.import_piece") > 0, within_s=20, what="the service has begun to store it"
    )
    writer.close()
    await writer.wait_closed()
    await asyncio.sleep(1)
    assert _statuses(stored) == ["uploading"]
    [(import_id,)] = stored.execute("SELECT id FROM subscriptions.import_job")
    page = await author.get(f"/admin/imports/{import_id}")
    assert "If it broke off, it is removed by itself, and nobody is imported." in page.text


def _process_at(url: str) -> psutil.Process:
    port = urlsplit(url).port
    [found] = {
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid is not None
    }
    return psutil.Process(found)
