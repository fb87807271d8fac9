"""Calls to receivers on real sockets: bounded, and never to an address that is not allowed."""

import asyncio
import gzip
import socket
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_network

import pytest
from aiohttp import web
from yarl import URL

from broadsheet_common.outgoing.guarded_session import AddrInfo, Lookup
from broadsheet_common.outgoing.target import TargetPolicy
from broadsheet_subscriptions.webhooks.sending.answer import ANSWER_READ_BYTES_MAX, Answer, Answered, NotAnswered
from broadsheet_subscriptions.webhooks.sending.call_endpoint import open_caller
from harness.http.certificates import Certified

from .receiver import Received, Receiver, never, receiving

# One address of this machine stands for what is public, every other one is what must not be reached.
ALLOWED = TargetPolicy((ip_network("127.0.0.1/32"),), allow_http=True)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


async def call(
    url: str,
    *,
    policy: TargetPolicy = ALLOWED,
    lookup: Lookup | None = None,
    timeout_s: float = 5.0,
    tls: ssl.SSLContext | None = None,
    body: bytes = b"{}",
) -> Answer:
    arguments: dict[str, Lookup] = {} if lookup is None else {"lookup": lookup}
    async with open_caller(policy, timeout_s=timeout_s, ssl_context=tls, **arguments) as caller:
        answer, duration_ms = await caller.call(URL(url), headers={"webhook-id": "msg_1"}, body=body)
    assert 0 <= duration_ms <= 2_000 * timeout_s + 1_000
    return answer


@asynccontextmanager
async def replying(reply: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncGenerator[str]:
    """A server that is no HTTP server: what it sends back is the test's."""
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            with suppress(ConnectionError):
                await reply(writer)
        finally:
            writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.ensure_future(handle(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    for handler in handlers:
        handler.cancel()
    await asyncio.gather(*handlers, return_exceptions=True)


def leads_to(*addresses: str) -> Lookup:
    def look_up(_: str, port: int) -> list[AddrInfo]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]

    return look_up


async def test_the_receiver_gets_the_body_and_its_answer_comes_back(receiver: Receiver) -> None:
    answer = await call(receiver.url("/hook?a=b%20c"), body=b'{"a":1}')
    assert answer == Answered(200, b"thank you", None)
    [received] = receiver.received
    assert received.body == b'{"a":1}'
    assert received.request.method == "POST"
    assert received.request.raw_path == "/hook?a=b%20c"


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.2"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["192.168.0.1", "172.16.0.1"],
        ["0.0.0.0"],
        ["::1"],
        ["::ffff:10.0.0.1"],
        ["::ffff:7f00:2"],
        ["64:ff9b::7f00:1"],
        ["fe80::1"],
        ["fd00::1"],
        ["224.0.0.1"],
    ],
    ids=" ".join,
)
async def test_a_name_that_leads_to_an_address_that_is_not_public_is_not_called(addresses: list[str]) -> None:
    async with receiving(host="127.0.0.2") as inside:
        answer = await call(inside.url(host="hooks.example.com"), lookup=leads_to(*addresses))
        assert answer == NotAnswered("address_refused")
        assert inside.received == []


@pytest.mark.parametrize("host", ["127.0.0.2", "[::1]", "[::ffff:127.0.0.2]"])
async def test_an_address_in_the_url_is_judged_at_the_socket_too(host: str) -> None:
    async with receiving(host="127.0.0.2") as inside:
        assert await call(inside.url(host=host)) == NotAnswered("address_refused")
        assert inside.received == []


@pytest.mark.parametrize("host", ["2130706434", "0x7f000002", "0x7f.2", "0177.0.0.2", "127.2", "127.0.2"])
async def test_an_address_in_an_unusual_form_reaches_nothing(host: str) -> None:
    """The system's resolver would read each of them as 127.0.0.2."""
    async with receiving(host="127.0.0.2") as inside:
        answer = await call(inside.url(host=host))
        assert answer in (NotAnswered("address_refused"), NotAnswered("url_refused"), NotAnswered("name_not_found"))
        assert inside.received == []


async def test_the_name_of_this_machine_is_not_called_where_nothing_is_allowed(receiver: Receiver) -> None:
    answer = await call(receiver.url(host="localhost"), policy=TargetPolicy(allow_http=True))
    assert answer == NotAnswered("address_refused")
    assert receiver.received == []


async def test_a_name_that_leads_elsewhere_the_second_time_is_refused_the_second_time(receiver: Receiver) -> None:
    """DNS rebinding: the address counts that the socket connects to, not one that was looked at before."""
    receiver.headers = {"Connection": "close"}
    inside = Receiver()
    inside.port = receiver.port
    await inside.start(host="127.0.0.2")
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[AddrInfo]:
        asked.append(host)
        return leads_to("127.0.0.1" if len(asked) == 1 else "127.0.0.2")(host, port)

    try:
        async with open_caller(ALLOWED, timeout_s=5, lookup=rebinding) as caller:
            url = URL(receiver.url(host="hooks.example.com"))
            first, _ = await caller.call(url, headers={}, body=b"{}")
            second, _ = await caller.call(url, headers={}, body=b"{}")
    finally:
        await inside.stop()
    assert first == Answered(200, b"thank you", None)
    assert second == NotAnswered("address_refused")
    assert len(asked) == 2
    assert (len(receiver.received), inside.received) == (1, [])


async def test_of_two_addresses_only_the_allowed_one_is_connected_to(receiver: Receiver) -> None:
    answer = await call(receiver.url(host="hooks.example.com"), lookup=leads_to("127.0.0.2", "127.0.0.1"))
    assert isinstance(answer, Answered)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(receiver: Receiver, status: int) -> None:
    async with receiving(host="127.0.0.2") as inside:
        receiver.status, receiver.headers = status, {"Location": inside.url(host="127.0.0.2")}
        answer = await call(receiver.url())
        assert isinstance(answer, Answered)
        assert answer.status == status
        assert (len(receiver.received), inside.received) == (1, [])


async def test_no_proxy_of_the_environment_is_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url(""))
        assert isinstance(await call(receiver.url()), Answered)
        assert (len(receiver.received), proxy.received) == (1, [])


async def test_no_cookie_is_kept(receiver: Receiver) -> None:
    receiver.headers = {"Set-Cookie": "a=b; Path=/"}
    async with open_caller(ALLOWED, timeout_s=5) as caller:
        for _ in range(2):
            await caller.call(URL(receiver.url()), headers={}, body=b"{}")
    assert all("cookie" not in received.headers for received in receiver.received)


async def test_a_receiver_that_says_nothing_is_given_up_on(receiver: Receiver) -> None:
    receiver.answer = never
    assert await call(receiver.url(), timeout_s=0.2) == NotAnswered("timed_out")


async def test_one_that_sends_a_byte_at_a_time_is_given_up_on_by_the_same_clock() -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 10_000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.02)

    async with replying(drip) as url:
        assert await call(url, timeout_s=0.3) == NotAnswered("timed_out")


async def test_a_body_that_never_ends_takes_nothing_from_the_status(receiver: Receiver) -> None:
    async def endless(received: Received) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(received.request)
        with suppress(ConnectionError, asyncio.CancelledError):
            await response.write(b"begun")
            await asyncio.sleep(30)
        return response

    receiver.answer = endless
    assert await call(receiver.url(), timeout_s=0.3) == Answered(200, b"begun", None)


async def test_of_a_huge_body_only_the_beginning_is_read(receiver: Receiver) -> None:
    receiver.body = b"x" * 50_000_000
    began = time.monotonic()
    answer = await call(receiver.url())
    assert answer == Answered(200, b"x" * ANSWER_READ_BYTES_MAX, None)
    assert time.monotonic() - began < 5


async def test_a_compressed_body_is_not_unpacked(receiver: Receiver) -> None:
    receiver.body, receiver.headers = gzip.compress(b"\0" * 10_000_000), {"Content-Encoding": "gzip"}
    answer = await call(receiver.url())
    assert isinstance(answer, Answered)
    assert answer.body == receiver.body[:ANSWER_READ_BYTES_MAX]


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"not http at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 99999 What\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"\xff\xfe\x00",
    ],
    ids=["nothing", "no http", "long header", "odd status", "two lengths", "bytes"],
)
async def test_an_answer_that_is_no_http_is_no_answer(reply: bytes) -> None:
    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        await writer.drain()

    async with replying(send) as url:
        assert await call(url) == NotAnswered("answer_unreadable")


async def test_a_port_where_nobody_listens_is_not_connected() -> None:
    async with receiving() as gone:
        url = gone.url()
    assert await call(url) == NotAnswered("not_connected")


@pytest.mark.parametrize("host", ["nobody.invalid", "a" * 64 + ".example.com"])
async def test_a_name_that_nobody_has_is_told_so(host: str) -> None:
    def unknown(asked: str, port: int) -> list[AddrInfo]:
        if asked.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return list(socket.getaddrinfo(asked, port))

    assert await call(f"http://{host}:8080/", lookup=unknown) == NotAnswered("name_not_found")


async def test_one_name_whose_server_is_silent_holds_one_thread_and_delays_no_other(receiver: Receiver) -> None:
    silent_lookups = 0

    def look_up(host: str, port: int) -> list[AddrInfo]:
        nonlocal silent_lookups
        if host == "silent.example.com":
            silent_lookups += 1
            time.sleep(1.0)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return leads_to("127.0.0.1")(host, port)

    async with open_caller(ALLOWED, timeout_s=0.3, lookup=look_up) as caller:
        silent = URL(receiver.url(host="silent.example.com"))
        slow = [asyncio.create_task(caller.call(silent, headers={}, body=b"")) for _ in range(100)]
        await asyncio.sleep(0.05)
        answer, _ = await caller.call(URL(receiver.url(host="well.example.com")), headers={}, body=b"")
        assert isinstance(answer, Answered)
        assert {(await task)[0] for task in slow} == {NotAnswered("timed_out")}
    assert silent_lookups == 1


@pytest.mark.parametrize(
    ("header", "wished_s"),
    [("120", 120.0), ("0", 0.0), ("-1", None), ("soon", None), ("9" * 5_000, None), ("²", None), ("1.5", None)],
)
async def test_the_receivers_wish_to_wait_is_read_where_it_is_a_count(
    receiver: Receiver, header: str, wished_s: float | None
) -> None:
    receiver.status, receiver.headers = 503, {"Retry-After": header}
    answer = await call(receiver.url())
    assert isinstance(answer, Answered)
    assert answer.retry_after_s == wished_s


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    return Certified(tmp_path_factory.mktemp("certificates"), "hooks.example.com", "127.0.0.9")


async def test_a_certificate_of_the_right_name_by_a_trusted_authority_is_taken(certified: Certified) -> None:
    async with receiving(tls=certified.server) as receiver:
        url = receiver.url(host="hooks.example.com", scheme="https")
        answer = await call(url, lookup=leads_to("127.0.0.1"), tls=certified.trusting)
        assert answer == Answered(200, b"thank you", None)


async def test_a_certificate_of_another_name_is_refused(certified: Certified) -> None:
    async with receiving(tls=certified.server) as receiver:
        for host in ("other.example.com", "127.0.0.1"):
            url = receiver.url(host=host, scheme="https")
            assert await call(url, lookup=leads_to("127.0.0.1"), tls=certified.trusting) == NotAnswered("tls_failed")
        assert receiver.received == []


async def test_a_certificate_by_nobody_that_is_trusted_is_refused(certified: Certified) -> None:
    async with receiving(tls=certified.server) as receiver:
        url = receiver.url(host="hooks.example.com", scheme="https")
        assert await call(url, lookup=leads_to("127.0.0.1")) == NotAnswered("tls_failed")
        assert receiver.received == []


async def test_what_speaks_no_tls_is_refused(receiver: Receiver) -> None:
    url = receiver.url(host="hooks.example.com", scheme="https")
    assert await call(url, lookup=leads_to("127.0.0.1")) == NotAnswered("tls_failed")
