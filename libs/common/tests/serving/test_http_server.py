"""The bounds of a connection, on real sockets against a service of its own process. Its limits are short here."""

import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from harness.waiting import eventually

from ..process.test_serving import running

pytestmark = pytest.mark.process

SHORT = {
    "FIRST_BYTE_TIMEOUT_S": "0.5",
    "HEADER_TIMEOUT_S": "0.5",
    "BODY_IDLE_TIMEOUT_S": "0.5",
    "KEEP_ALIVE_TIMEOUT_S": "0.5",
    "WRITE_TIMEOUT_S": "0.5",
}
CLOSED_WITHIN_S = 30.0
REQUEST = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
async def service() -> AsyncIterator[httpx.AsyncClient]:
    async with running(**SHORT) as (_, client):
        yield client


async def connect(client: httpx.AsyncClient) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(client.base_url.host, client.base_url.port)


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """What comes until the server closes."""
    async with asyncio.timeout(CLOSED_WITHIN_S):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def closed_for(client: httpx.AsyncClient, reason: str) -> bool:
    # On a connection of its own: the client's kept ones meet the limits too.
    async with httpx.AsyncClient(base_url=client.base_url) as another:
        return f'http_connections_closed_total{{reason="{reason}"}}' in (await another.get("/metrics")).text


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "first_byte"),
        (b"\r\n\r\n", "first_byte"),
        (b"GET /slow HTTP/1.1\r\nHost: x\r\nX-More: ", "headers"),
        (b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this", "body"),
        (b"POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nonl", "body"),
    ],
)
async def test_who_stops_sending_is_closed(service: httpx.AsyncClient, sent: bytes, reason: str) -> None:
    reader, writer = await connect(service)
    writer.write(sent)
    await rest_of(reader)
    writer.close()
    assert await closed_for(service, reason)


async def test_headers_that_come_byte_by_byte_are_not_waited_for(service: httpx.AsyncClient) -> None:
    reader, writer = await connect(service)
    writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n")

    async def drip() -> None:
        while not writer.is_closing():
            writer.write(b"x-a: b\r\n")
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    await rest_of(reader)
    writer.close()
    dripping.cancel()
    assert await closed_for(service, "headers")


async def test_an_idle_connection_is_closed_after_its_answer(service: httpx.AsyncClient) -> None:
    reader, writer = await connect(service)
    writer.write(REQUEST)
    assert (await rest_of(reader)).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_a_body_in_pieces_that_keep_coming_is_taken(service: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(10):
            await asyncio.sleep(0.15)  # together longer than any limit
            yield b"x" * 10

    async with httpx.AsyncClient(base_url=service.base_url) as client:
        assert (await client.post("/length", content=pieces())).json() == {"length": 100}


async def test_who_does_not_read_a_large_answer_is_closed(service: httpx.AsyncClient) -> None:
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect((service.base_url.host, service.base_url.port or 0))
        reader.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")

        async def is_closed() -> bool:
            return await closed_for(service, "write")

        await eventually(is_closed, within_s=CLOSED_WITHIN_S, what="the slow reader is closed")


async def test_who_reads_a_large_answer_steadily_gets_it_whole(service: httpx.AsyncClient) -> None:
    # Not httpx: on uvloop it takes 8 MB at once, and then nothing for longer than the limit.
    reader, writer = await connect(service)
    writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    announced = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    length = 0
    while piece := await reader.read(65536):
        length += len(piece)
        await asyncio.sleep(0.01)
    writer.close()
    assert length == announced


async def test_head_of_an_answer_in_pieces_has_no_body_and_not_the_end_of_one(service: httpx.AsyncClient) -> None:
    reader, writer = await connect(service)
    writer.write(b"HEAD /pieces HTTP/1.1\r\nHost: x\r\n\r\n" + REQUEST)
    head, _, rest = (await rest_of(reader)).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 200")
    assert rest.startswith(b"HTTP/1.1 200")  # the next answer, with nothing before it


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /slow HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET /slow HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(300)) + b"\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_headers_have_a_bound(service: httpx.AsyncClient, sent: bytes) -> None:
    reader, writer = await connect(service)
    writer.write(sent)
    assert (await rest_of(reader)).startswith((b"HTTP/1.1 431", b""))
    writer.close()
    assert await closed_for(service, "too_large")


async def test_http2_is_not_spoken(service: httpx.AsyncClient) -> None:
    reader, writer = await connect(service)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
    assert not (await rest_of(reader)).startswith(b"\x00")
    writer.close()
    # An offer to go on in HTTP/2 or as a WebSocket is not taken up: it is answered in HTTP/1.1.
    for name in (b"h2c", b"websocket"):
        reader, writer = await connect(service)
        writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: " + name + b"\r\n\r\n")
        assert (await rest_of(reader)).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_a_few_requests_may_wait_on_a_connection_and_not_thousands(service: httpx.AsyncClient) -> None:
    reader, writer = await connect(service)
    writer.write(REQUEST * 3)
    assert (await rest_of(reader)).count(b"HTTP/1.1 200") == 3
    writer.close()
    reader, writer = await connect(service)
    writer.write(REQUEST * 5000)
    assert (await rest_of(reader)).count(b"HTTP/1.1 200") < 20
    writer.close()


async def test_silent_connections_make_room_for_those_with_a_request() -> None:
    """Also before any time limit: with all places taken, whoever has waited longest goes."""
    async with running(CONNECTIONS_MAX="20", FIRST_BYTE_TIMEOUT_S="600") as (_, client):
        silent = [await connect(client) for _ in range(60)]
        async with httpx.AsyncClient(base_url=client.base_url) as another:
            assert (await another.get("/slow")).status_code == 200
            metrics = (await another.get("/metrics")).text
        assert 'http_connections_closed_total{reason="evicted"}' in metrics
        for _, writer in silent:
            writer.close()


async def test_bodies_that_never_come_make_room_too() -> None:
    async with running(CONNECTIONS_MAX="10", BODY_IDLE_TIMEOUT_S="600") as (_, client):
        held = [await connect(client) for _ in range(9)]
        for _, writer in held:
            writer.write(b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this")

        async def is_served() -> bool:
            try:
                async with httpx.AsyncClient(base_url=client.base_url) as another:
                    return (await another.get("/slow")).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(is_served, within_s=CLOSED_WITHIN_S)
        for _, writer in held:
            writer.close()


async def test_clients_that_do_not_read_make_room_too() -> None:
    """Long before the time after which a slow reader is closed anyway."""
    async with running(CONNECTIONS_MAX="10", WRITE_TIMEOUT_S="600") as (_, client):
        place = (client.base_url.host, client.base_url.port or 0)
        held: list[socket.socket] = []
        try:
            for _ in range(9):
                reader = socket.socket()
                reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                reader.connect(place)
                reader.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
                held.append(reader)

            async def are_served() -> bool:
                """Two at once, and the client that asked before has a third place."""
                try:
                    async with httpx.AsyncClient(base_url=client.base_url) as another:
                        answers = await asyncio.gather(another.get("/slow"), another.get("/slow"))
                except httpx.TransportError:
                    return False
                return all(answer.status_code == 200 for answer in answers)

            await eventually(are_served, within_s=CLOSED_WITHIN_S)
            assert await closed_for(client, "evicted")
        finally:
            for reader in held:
                reader.close()


async def open_from(client: httpx.AsyncClient, address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(client.base_url.host, client.base_url.port, local_addr=(address, 0))


async def test_one_address_may_hold_only_so_many_places_and_the_others_keep_theirs() -> None:
    async with running(CONNECTIONS_PER_ADDRESS_MAX="4", ANSWER_AFTER_S="600") as (_, client):
        busy = [await open_from(client, "127.0.0.2") for _ in range(4)]
        for _, writer in busy:
            writer.write(REQUEST)
        other_reader, other = await open_from(client, "127.0.0.3")  # silent, and not the one that makes room

        async def is_refused() -> bool:
            """One that the server had not read yet may have made room: then it is replaced."""
            reader, writer = await open_from(client, "127.0.0.2")
            writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = await rest_of(reader)
            writer.close()
            if answer != b"":
                busy.append(await open_from(client, "127.0.0.2"))
                busy[-1][1].write(REQUEST)
            return answer == b""

        await eventually(is_refused, within_s=CLOSED_WITHIN_S)
        assert await closed_for(client, "address")
        other.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await rest_of(other_reader)).startswith(b"HTTP/1.1 200")
        for _, writer in [*busy, (other_reader, other)]:
            writer.close()


async def test_silent_connections_of_an_address_make_room_for_its_own_requests() -> None:
    async with running(CONNECTIONS_PER_ADDRESS_MAX="4", FIRST_BYTE_TIMEOUT_S="600") as (_, client):
        silent = [await open_from(client, "127.0.0.2") for _ in range(30)]
        reader, writer = await open_from(client, "127.0.0.2")
        writer.write(REQUEST.replace(b"Host: x", b"Host: x\r\nConnection: close"))
        assert (await rest_of(reader)).startswith(b"HTTP/1.1 200")
        assert await closed_for(client, "address")
        for _, silent_writer in [*silent, (reader, writer)]:
            silent_writer.close()
