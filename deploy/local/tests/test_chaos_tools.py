"""The tools that cause faults: the TCP link, the shifted clock, the small disk, and the names in the catalogue."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from broadsheet_local.chaos.catalogue import FAULTS
from broadsheet_local.chaos.faults.clocks import build_library
from broadsheet_local.chaos.faults.proxy import PAGES, STATUSES
from broadsheet_local.chaos.stand_ins.answering_proxy import PAGE, AnsweringProxy, OwnAnswer
from broadsheet_local.chaos.stand_ins.small_disk import SmallDisk
from broadsheet_local.chaos.stand_ins.tcp_link import TcpLink
from broadsheet_local.embedded.ports import LOOPBACK, hold_free_port
from broadsheet_local.errors import LaunchError

ANSWER_MAX_S = 5.0
SILENCE_S = 0.2
GONE = (ConnectionResetError, BrokenPipeError, asyncio.IncompleteReadError)


@asynccontextmanager
async def echo_behind_link() -> AsyncIterator[TcpLink]:
    """A link in front of a server that sends everything back, prefixed with its own port."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, LOOPBACK, 0)
    port = hold_free_port()
    link = TcpLink(port.number, server.sockets[0].getsockname()[1])
    await link.start()
    try:
        yield link
    finally:
        await link.stop()
        server.close()


async def ask(link: TcpLink, text: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(LOOPBACK, link.port)
    try:
        writer.write(text)
        return await asyncio.wait_for(reader.readuntil(b"\n"), ANSWER_MAX_S)
    finally:
        writer.close()


async def test_a_link_passes_bytes_both_ways() -> None:
    async with echo_behind_link() as link:
        assert await ask(link, b"hello\n") == b"hello\n"


async def test_a_severed_connection_is_reset_and_a_new_one_passes() -> None:
    async with echo_behind_link() as link:
        reader, writer = await asyncio.open_connection(LOOPBACK, link.port)
        writer.write(b"one\n")
        assert await reader.readline() == b"one\n"
        link.sever()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.readexactly(1), ANSWER_MAX_S)
        writer.close()
        assert await ask(link, b"two\n") == b"two\n"


async def test_a_link_that_reads_slowly_leaves_bytes_with_their_sender_until_it_heals() -> None:
    lines = 100
    line = b"x" * 9_999 + b"\n"
    async with echo_behind_link() as link:
        link.read_slowly(1000)
        reader, writer = await asyncio.open_connection(LOOPBACK, link.port)
        writer.write(line * lines)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(len(line)), SILENCE_S)
        assert link.taken_bytes < len(line)
        link.heal()
        echoed = await asyncio.wait_for(reader.readexactly(len(line) * lines), ANSWER_MAX_S * 4)
        assert echoed == line * lines
        assert link.taken_bytes == len(echoed)
        writer.close()


async def test_a_stalled_link_gives_no_answer_until_it_heals() -> None:
    async with echo_behind_link() as link:
        reader, writer = await asyncio.open_connection(LOOPBACK, link.port)
        writer.write(b"one\n")
        assert await reader.readline() == b"one\n"
        link.stall()
        writer.write(b"late\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readline(), SILENCE_S)
        link.heal()
        assert await asyncio.wait_for(reader.readline(), ANSWER_MAX_S) == b"late\n"
        writer.close()


async def test_what_a_stalled_link_took_can_be_lost() -> None:
    async with echo_behind_link() as link:
        reader, writer = await asyncio.open_connection(LOOPBACK, link.port)
        writer.write(b"one\n")
        assert await reader.readline() == b"one\n"
        link.stall()
        writer.write(b"lost\n")
        await writer.drain()
        link.heal(drop_stalled=True)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.readexactly(1), ANSWER_MAX_S)
        writer.close()


async def test_a_refusing_link_resets_whoever_comes() -> None:
    async with echo_behind_link() as link:
        link.refuse()
        with pytest.raises(GONE):
            await ask(link, b"hello\n")
        link.heal()
        assert await ask(link, b"again\n") == b"again\n"


async def test_a_turned_link_leads_new_connections_elsewhere() -> None:
    async with echo_behind_link() as link:
        nobody = hold_free_port()
        link.turn_to(nobody.number)
        with pytest.raises(GONE):
            await ask(link, b"hello\n")


@asynccontextmanager
async def provider_behind_proxy() -> AsyncIterator[tuple[AnsweringProxy, list[bytes], httpx.AsyncClient]]:
    """A proxy in front of a server that keeps what was posted and says 200 `theirs`, and a client of it."""
    posted: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        if length:
            posted.append(await reader.readexactly(length))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ntheirs")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    port = hold_free_port()
    proxy = AnsweringProxy(port.number, server.sockets[0].getsockname()[1])
    await proxy.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port.number}", trust_env=False) as client:
            yield proxy, posted, client
    finally:
        await proxy.stop()
        server.close()


async def test_a_proxy_that_is_told_nothing_passes_on() -> None:
    async with provider_behind_proxy() as (proxy, posted, client):
        answer = await client.post("/email/batch", content=b"mails")
        assert (answer.status_code, answer.content, posted, proxy.answered) == (200, b"theirs", [b"mails"], 0)


@pytest.mark.parametrize("page", PAGES, ids=["none", "HTML"])
@pytest.mark.parametrize("status", STATUSES)
async def test_a_proxy_answers_in_its_own_words_what_the_provider_has_accepted(status: int, page: bytes) -> None:
    async with provider_behind_proxy() as (proxy, posted, client):
        proxy.answer(OwnAnswer(status, page), sending=1.0)
        answer = await client.post("/email/batch", content=b"mails")
        assert (answer.status_code, posted, proxy.answered) == (status, [b"mails"], 1)
        assert answer.content == (b"" if status == 204 else page)
        # Searches are passed on unless it is told otherwise.
        assert (await client.get("/messages/outbound")).content == b"theirs"
        proxy.pass_on()
        assert (await client.post("/email/batch", content=b"more")).content == b"theirs"


async def test_a_proxy_can_keep_a_request_to_itself() -> None:
    async with provider_behind_proxy() as (proxy, posted, client):
        proxy.answer(OwnAnswer(403, PAGE), sending=1.0, reading=1.0, forwards=False)
        assert (await client.post("/email/batch", content=b"mails")).status_code == 403
        assert (await client.get("/messages/outbound")).status_code == 403
        assert (posted, proxy.answered) == ([], 1)


@pytest.mark.parametrize("shift_s", [3600, -3600])
def test_a_preloaded_library_shifts_the_wall_clock_and_not_the_monotonic_one(tmp_path: Path, shift_s: int) -> None:
    if sys.platform != "linux":
        with pytest.raises(LaunchError):
            build_library(tmp_path)
        return
    library = build_library(tmp_path)
    program = "import time; print(time.time(), time.monotonic())"
    plain, shifted = (
        subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True, env={**os.environ, **extra}
        ).stdout.split()
        for extra in ({}, {"LD_PRELOAD": str(library), "CHAOS_CLOCK_SHIFT_S": str(shift_s)})
    )
    assert abs(float(shifted[0]) - float(plain[0]) - shift_s) < 60
    assert abs(float(shifted[1]) - float(plain[1])) < 60


def test_a_full_disk_takes_no_more_until_there_is_room(tmp_path: Path) -> None:
    disk = SmallDisk(tmp_path / "disk", 8)
    if sys.platform != "linux":
        with pytest.raises(LaunchError):
            disk.prepare()
        return
    disk.prepare()
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(disk.folder / "data")], stdin=-1, stdout=-1, text=True)
    assert child.stdin is not None
    assert child.stdout is not None

    def write() -> str:
        child.stdin.write("\n")  # type: ignore[union-attr]
        child.stdin.flush()  # type: ignore[union-attr]
        return child.stdout.readline().strip()  # type: ignore[union-attr]

    try:
        assert write() == "written"
        disk.fill(child.pid)
        assert write() == "refused"
        disk.make_room(child.pid)
        assert write() == "written"
    finally:
        child.kill()
        child.communicate()
        disk.remove()


WRITER = """\
import os, sys, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
for _ in sys.stdin:
    try:
        os.write(file, b"x" * 65536)
        print("written", flush=True)
    except OSError:
        print("refused", flush=True)
"""


def test_every_fault_has_a_name_of_its_own_and_says_its_bound() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert all(fault.bound for fault in FAULTS)
