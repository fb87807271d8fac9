"""`bench archive`: how many pages of a sent issue the gateway answers a second from its cache."""

import asyncio
import os
import re
import time
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import msgspec
from httpx_aiohttp import HttpxAiohttpClient

from broadsheet_local.bench.inputs.author import Author
from broadsheet_local.bench.inputs.issue_body import make_issue
from broadsheet_local.bench.measuring.claim_log import percentile
from broadsheet_local.bench.measuring.database import connected
from broadsheet_local.bench.measuring.processes import ProcessMeter
from broadsheet_local.demo.people import expect
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.supervisor import Say
from broadsheet_local.system import LocalSystem

BODY_KB = 10
CONNECTIONS = 16
ANSWER_TIMEOUT_S = 30.0
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_READER = """
WITH reader AS (
    INSERT INTO subscriptions.subscriber (email, email_key, name)
    VALUES ('reader@example.com', 'reader@example.com', 'Reader') RETURNING id)
INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id, state, confirmed_at)
SELECT 1, id, 'confirmed', now() FROM reader
"""
_WEB_PATH = "SELECT web_path FROM publishing.compiled_content WHERE issue_id = %s"


class PageTimes(msgspec.Struct, frozen=True):
    """`gateway_cpu_us` is the processor time that the gateway took for one answer."""

    answers: int
    answers_per_s: float
    ms_p50: float
    ms_p99: float
    gateway_cpu_us: float


class ArchiveFigures(msgspec.Struct, frozen=True):
    """`is_whole`: every answer had the page's tag and its whole length, or was the 304 that was asked for.

    `load_before`: how many processes wanted a processor in the minute before, without this benchmark's own.
    """

    page_bytes: int
    connections: int
    seconds: int
    processors: int
    load_before: float
    page: PageTimes
    not_modified: PageTimes
    is_whole: bool


async def measure_archive(system: LocalSystem, seconds: int, say: Say) -> ArchiveFigures:
    load_before = round(os.getloadavg()[0], 2)
    path = await publish_page(system)
    url = urlsplit(system.addresses.gateway_url)
    async with HttpxAiohttpClient(base_url=system.addresses.gateway_url, trust_env=False) as client:
        first = await client.get(path)
        expect(first, httpx.codes.OK, "reading the page")
    tag = first.headers["etag"]
    head = f"GET {path} HTTP/1.1\r\nHost: {url.netloc}\r\nAccept-Encoding: identity\r\n"
    visits = _Visits(url.hostname or "", url.port or 80, system, seconds=seconds)
    say(f"asking for the page over {CONNECTIONS} connections for {seconds} s")
    page = await visits.measure(f"{head}\r\n".encode(), status=b"200", body_bytes=len(first.content))
    say("and for what has changed since")
    same = await visits.measure(f"{head}If-None-Match: {tag}\r\n\r\n".encode(), status=b"304", body_bytes=0)
    return ArchiveFigures(
        page_bytes=len(first.content),
        connections=CONNECTIONS,
        seconds=seconds,
        processors=os.cpu_count() or 1,
        load_before=load_before,
        page=page,
        not_modified=same,
        is_whole=visits.wrong == 0,
    )


async def publish_page(system: LocalSystem) -> str:
    """The path of the page of an issue that was just published."""
    with connected(system.database_url) as connection:
        connection.execute("UPDATE publishing.newsletter SET has_archive = true")
        connection.execute(_READER)
    author = Author(system.addresses.gateway_url, system.credentials.api_key)
    try:
        issue_id = await author.write(make_issue(BODY_KB))
        await author.publish(issue_id)
    finally:
        await author.aclose()
    with connected(system.database_url) as connection:
        row = connection.execute(_WEB_PATH, (issue_id,)).fetchone()
    if row is None or row[0] is None:
        raise LaunchError("the issue got no address on the web")
    return str(row[0])


class _Visits:
    """Visitors that ask one time after another on kept connections. `wrong` counts answers that were not as asked."""

    def __init__(self, host: str, port: int, system: LocalSystem, *, seconds: int) -> None:
        self._host = host
        self._port = port
        self._system = system
        self._seconds = seconds
        self.wrong = 0

    async def measure(self, request: bytes, *, status: bytes, body_bytes: int) -> PageTimes:
        times_ms: list[float] = []
        async with ProcessMeter(self._system.process_ids()) as meter:
            began_s = time.perf_counter()
            ends_at_s = began_s + self._seconds
            await asyncio.gather(
                *(
                    self._visit(request, status, body_bytes, ends_at_s=ends_at_s, times_ms=times_ms)
                    for _ in range(CONNECTIONS)
                )
            )
            took_s = time.perf_counter() - began_s
        cpu_s = meter.uses["gateway"].cpu_s
        return PageTimes(
            answers=len(times_ms),
            answers_per_s=round(len(times_ms) / took_s, 1),
            ms_p50=round(percentile(times_ms, 50), 2),
            ms_p99=round(percentile(times_ms, 99), 2),
            gateway_cpu_us=round(cpu_s / len(times_ms) * 1e6, 1),
        )

    async def _visit(
        self, request: bytes, status: bytes, body_bytes: int, *, ends_at_s: float, times_ms: list[float]
    ) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            async with asyncio.timeout(self._seconds + ANSWER_TIMEOUT_S):
                while (began_s := time.perf_counter()) < ends_at_s:
                    writer.write(request)
                    head = await reader.readuntil(_HEAD_END)
                    length = _LENGTH.search(head)
                    body = await reader.readexactly(int(length[1])) if length and status != b"304" else b""
                    times_ms.append((time.perf_counter() - began_s) * 1000)
                    self.wrong += head[9:12] != status or len(body) != body_bytes
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
