"""A sender that is stopped while Postmark reads slowly does not complete its request when it goes on.

The sender is a process of its own, stopped by SIGSTOP, whose clock is moved meanwhile as by a suspended machine: only
its looks at the clock can tell. The reader is a socket with a small receive buffer, so that the request fills every
buffer on the way: the process's own and the kernel's.
"""

import contextlib
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import anyio
import msgspec
import pytest
from anyio.abc import SocketAttribute

from broadsheet_delivery.postmark.boot_clock import boot_time_s
from broadsheet_delivery.postmark.call_result import Answered, NotSent
from broadsheet_delivery.postmark.message import encode_message
from broadsheet_delivery.postmark.request_body import TooLateError, WritingCall, writing
from broadsheet_delivery.postmark.watched_connection import WatchedStream, unsent_bytes
from broadsheet_delivery.sending.send_batch import send_batch
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import delivering
from harness.http.certificates import Certified
from harness.oracle import Oracle
from harness.sending_process import SendingOrder, batch_message

BOUND_S: Final = 60.0
QUIET_S: Final = 0.5
SMALL_BUFFER: Final = 4096
LARGE_BUFFER: Final = 4 * 1024 * 1024

# Messages, and bytes of each: what fits into the kernel's queue whole, but not into the reader's; and what does not fit
# into the kernel's either, but does once that has been emptied.
KERNEL_QUEUE: Final = (500, 400)
PROCESS_BUFFER: Final = (285, 10_000)


class SlowReader:
    """One connection of a provider that reads when the test says so."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._listener = socket.socket()
        # What an accepted socket inherits: set later, the window would have been offered already.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self._listener.settimeout(BOUND_S)
        self._tls = tls
        self._raw: socket.socket | None = None
        self._connection: socket.socket | None = None
        self.received = bytearray()
        self.port: int = self._listener.getsockname()[1]

    def accept(self) -> None:
        self._raw, _ = self._listener.accept()
        self._raw.settimeout(BOUND_S)
        self._connection = self._raw if self._tls is None else self._tls.wrap_socket(self._raw, server_side=True)

    @property
    def body_bytes(self) -> int:
        """How much of the body has come."""
        return len(self.received) - (self.received.find(b"\r\n\r\n") + 4)

    @property
    def announced_bytes(self) -> int:
        found = re.search(rb"(?i)content-length: (\d+)", self.received)
        return sys.maxsize if found is None else int(found[1])

    def read_beginning(self) -> None:
        """The headers and a little of the body."""
        while b"\r\n\r\n" not in self.received or self.body_bytes < 1000:
            self._read(1000)

    def read_while_it_comes(self, quiet_s: float) -> None:
        """Everything until nothing came for a while, or the connection is over or all is there."""
        assert self._connection is not None
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LARGE_BUFFER)
        self._connection.settimeout(quiet_s)
        with contextlib.suppress(TimeoutError, OSError):
            while self.body_bytes < self.announced_bytes and self._read(65_536):
                pass

    def answer(self, messages: int) -> None:
        assert self._connection is not None
        items = [{"ErrorCode": 0, "Message": "OK", "MessageID": str(uuid.uuid4())}] * messages
        content = msgspec.json.encode(items)
        self._connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content)

    def close(self) -> None:
        for one in (self._connection, self._raw, self._listener):
            if one is not None:
                one.close()

    def _read(self, size: int) -> bool:
        assert self._connection is not None
        piece = self._connection.recv(size)
        self.received += piece
        return bool(piece)


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    return Certified(tmp_path_factory.mktemp("tls"), "127.0.0.1")


Start = Callable[[SlowReader, SendingOrder], "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    processes: list[subprocess.Popen[str]] = []

    def start_sender(reader: SlowReader, order: SendingOrder) -> "subprocess.Popen[str]":
        scheme = "http" if order.ca_file is None else "https"
        order = msgspec.structs.replace(order, url=f"{scheme}://127.0.0.1:{reader.port}")
        process = subprocess.Popen(
            [sys.executable, "-m", "harness.sending_process", msgspec.json.encode(order).decode()],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        processes.append(process)
        reader.accept()
        reader.read_beginning()
        return process

    yield start_sender
    for process in processes:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(params=["http", "https"])
def reader_and_order(
    request: pytest.FixtureRequest, certified: Certified, tmp_path: Path
) -> Iterator[tuple[SlowReader, SendingOrder]]:
    tls = certified.server if request.param == "https" else None
    reader = SlowReader(tls)
    clock = tmp_path / "clock"
    clock.write_bytes(struct.pack("d", 0.0))
    ca_file = str(certified.authority_file) if tls else None
    yield reader, SendingOrder(str(clock), "", BOUND_S, messages=1, html_bytes=1, ca_file=ca_file)
    reader.close()


def wait_for_result(process: "subprocess.Popen[str]") -> str:
    output, _ = process.communicate(timeout=BOUND_S)
    return output.strip()


@pytest.mark.parametrize("loop_of_production", [True, False], ids=["uvloop", "asyncio"])
@pytest.mark.parametrize("size", [KERNEL_QUEUE, PROCESS_BUFFER], ids=["in-kernel", "in-process"])
def test_a_sender_stopped_past_its_time_never_completes_the_request(
    reader_and_order: tuple[SlowReader, SendingOrder], start: Start, size: tuple[int, int], loop_of_production: bool
) -> None:
    reader, order = reader_and_order
    messages, html_bytes = size
    order = msgspec.structs.replace(order, messages=messages, html_bytes=html_bytes, uvloop=loop_of_production)
    process = start(reader, order)
    # Meanwhile it fills whatever takes bytes; what holds does not depend on how far it comes.
    time.sleep(QUIET_S)
    process.send_signal(signal.SIGSTOP)
    reader.read_while_it_comes(QUIET_S)
    assert reader.body_bytes < reader.announced_bytes, "the kernel completed it while the process was stopped"
    with Path(order.clock_file).open("r+b") as clock:
        clock.write(struct.pack("d", BOUND_S))
    process.send_signal(signal.SIGCONT)
    reader.read_while_it_comes(BOUND_S)
    assert reader.body_bytes < reader.announced_bytes, "the process completed it when it went on"
    assert wait_for_result(process) == "Unknown"


@pytest.mark.parametrize("size", [KERNEL_QUEUE, PROCESS_BUFFER, (1, 1)], ids=["in-kernel", "in-process", "tiny"])
def test_a_slow_reader_gets_the_whole_request_while_there_is_time(
    reader_and_order: tuple[SlowReader, SendingOrder], start: Start, size: tuple[int, int]
) -> None:
    reader, order = reader_and_order
    messages, html_bytes = size
    order = msgspec.structs.replace(order, messages=messages, html_bytes=max(html_bytes, 1000))
    process = start(reader, order)
    reader.read_while_it_comes(BOUND_S)
    assert reader.body_bytes == reader.announced_bytes
    assert len(msgspec.json.decode(bytes(reader.received).partition(b"\r\n\r\n")[2])) == messages
    reader.answer(messages)
    assert wait_for_result(process) == "Answered"


async def open_watched_stream(reader: SlowReader) -> WatchedStream:
    stream = WatchedStream(await anyio.connect_tcp("127.0.0.1", reader.port))
    reader.accept()
    return stream


@pytest.fixture
def reader() -> Iterator[SlowReader]:
    reader = SlowReader(None)
    yield reader
    reader.close()


async def test_the_end_is_not_handed_to_a_kernel_that_has_unsent_bytes_and_these_are_thrown_away(
    reader: SlowReader,
) -> None:
    stream = await open_watched_stream(reader)
    call = WritingCall(until_s=boot_time_s() + 0.5, clock_s=boot_time_s)
    with writing(call):
        await stream.send(b"Content-Length: 200000\r\n\r\n" + b"x" * 199_999)
        raw = stream.extra(SocketAttribute.raw_socket)
        assert unsent_bytes(raw) > 0
        call.end_is_next = True
        with pytest.raises(TooLateError):
            await stream.send(b"]")
    await stream.aclose()
    reader.read_beginning()
    reader.read_while_it_comes(BOUND_S)
    assert reader.body_bytes < 199_999


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_USER_TIMEOUT is Linux's")
async def test_the_kernel_gives_up_what_it_cannot_send_within_the_calls_time(reader: SlowReader) -> None:
    stream = await open_watched_stream(reader)
    with writing(WritingCall(until_s=boot_time_s() + 0.5, clock_s=boot_time_s)):
        await stream.send(b"x" * 200_000)
    # Nobody reads: the window is shut, and stays so.
    with pytest.raises(anyio.BrokenResourceError), anyio.fail_after(BOUND_S):
        await stream.receive()
    await stream.aclose()


async def test_nothing_is_written_once_the_time_is_over(reader: SlowReader) -> None:
    stream = await open_watched_stream(reader)
    with writing(WritingCall(until_s=boot_time_s(), clock_s=boot_time_s)), pytest.raises(TooLateError):
        await stream.send(b"GET")
    await stream.aclose()
    reader.read_while_it_comes(BOUND_S)
    assert not reader.received


@pytest.mark.skipif(sys.platform != "linux", reason="CLOCK_BOOTTIME is Linux's")
def test_the_clock_counts_the_time_that_the_machine_was_suspended() -> None:
    before_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before_s <= boot_time_s() <= time.clock_gettime(time.CLOCK_BOOTTIME)


@pytest.mark.parametrize(("gone_s", "begun"), [(0.0, True), (4.0, False), (6.0, False)])
async def test_a_call_is_begun_only_with_half_of_its_time_left_however_long_the_lease(
    database: Database, sandbox: RunningSandbox, oracle: Oracle, gone_s: float, begun: bool
) -> None:
    async with delivering(
        database, sandbox.base_url, sandbox.token, delivery_http_timeout_s=5.0, delivery_lease_s=1000.0
    ) as delivery:
        result = await send_batch(
            delivery.context,
            [encode_message(batch_message(1))],
            lease_began_s=boot_time_s() - gone_s,
            token=uuid.uuid4(),
        )
    assert isinstance(result, Answered if begun else NotSent)
    assert len(oracle.messages()) == int(begun)
