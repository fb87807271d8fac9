"""Passing entries of the audit log on: to a real file, to real sockets, to the log; at least once each."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from broadsheet_common.contracts.audit import Actor, AuditAction, record_audit
from broadsheet_gateway.audit import store
from broadsheet_gateway.audit.entry import Entry
from broadsheet_gateway.audit.follow_entries import Follower
from broadsheet_gateway.audit.sinks import FileSink, LogSink, SyslogSink, create_sink
from broadsheet_gateway.audit.stream_target import FileTarget, SyslogTarget, parse_stream_target
from broadsheet_gateway.audit.worker import audit_loops

SOMEBODY = Actor("user:3", "user:3", "203.0.113.9")
WAIT_MAX_S = 30.0


async def chain(engine: AsyncEngine, count: int, *, action: AuditAction = "issue.changed") -> None:
    async with engine.begin() as connection:
        for target in range(count):
            await record_audit(connection, SOMEBODY, action, target, after={"changed": ["title"]})
        assert await store.seal(connection, entries_max=1000) == count


async def follow_all(follower: Follower) -> None:
    while await follower.follow():
        pass


def numbers(lines: Sequence[bytes]) -> list[int]:
    return [json.loads(line)["number"] for line in lines]


async def test_a_file_gets_every_entry_once_as_a_line_of_json(log_engine: AsyncEngine, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    follower = Follower(log_engine, FileSink(str(path)), f"file:{path}")
    await follow_all(follower)
    assert not path.exists()
    await chain(log_engine, 3)
    await follow_all(follower)
    await chain(log_engine, 2)
    await follow_all(follower)
    await follow_all(follower)
    lines = path.read_bytes().splitlines()
    assert numbers(lines) == [1, 2, 3, 4, 5]
    async with log_engine.connect() as connection:
        entries = await store.list_after(connection, 0, limit=10)
    shown = json.loads(lines[1])
    assert shown["hash"] == entries[1].hash.hex()
    assert shown["previous_hash"] == entries[0].hash.hex()
    assert (shown["actor"], shown["source"], shown["after"]) == ("user:3", "203.0.113.9", {"changed": ["title"]})
    assert path.stat().st_mode & 0o777 == 0o600


async def test_many_entries_come_in_bounded_batches(
    log_engine: AsyncEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broadsheet_gateway.audit.follow_entries.BATCH_ENTRIES_MAX", 4)
    path = tmp_path / "audit.jsonl"
    await chain(log_engine, 9)
    follower = Follower(log_engine, FileSink(str(path)), "a file")
    assert await follower.follow() is not None
    assert numbers(path.read_bytes().splitlines()) == [1, 2, 3, 4]
    await follow_all(follower)
    assert numbers(path.read_bytes().splitlines()) == [*range(1, 10)]


async def test_a_file_that_was_moved_away_is_left_alone(log_engine: AsyncEngine, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    follower = Follower(log_engine, FileSink(str(path)), "a file")
    await chain(log_engine, 1)
    await follow_all(follower)
    rotated = path.rename(tmp_path / "audit.1.jsonl")
    await chain(log_engine, 1)
    await follow_all(follower)
    assert numbers(rotated.read_bytes().splitlines()) == [1]
    assert numbers(path.read_bytes().splitlines()) == [2]


async def test_a_line_that_was_cut_off_does_not_spoil_the_one_after_it(log_engine: AsyncEngine, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b'{"number":1,"at":"2026')
    await chain(log_engine, 1)
    await follow_all(Follower(log_engine, FileSink(str(path)), "a file"))
    assert numbers(path.read_bytes().splitlines()[1:]) == [1]


class DiesAfterWriting:
    """Writes, and then the process is gone."""

    def __init__(self, path: Path) -> None:
        self._sink = FileSink(str(path))

    async def write(self, entries: Sequence[Entry]) -> None:
        await self._sink.write(entries)
        raise ConnectionResetError


async def test_after_a_crash_between_writing_and_noting_it_entries_come_again(
    log_engine: AsyncEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broadsheet_gateway.audit.follow_entries.LEASE_S", 0.0)
    path = tmp_path / "audit.jsonl"
    await chain(log_engine, 2)
    with pytest.raises(ConnectionResetError):
        await Follower(log_engine, DiesAfterWriting(path), "a file").follow()
    await follow_all(Follower(log_engine, FileSink(str(path)), "a file"))
    assert numbers(path.read_bytes().splitlines()) == [1, 2, 1, 2]


async def test_one_process_at_a_time_writes_to_a_place(log_engine: AsyncEngine, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    first, second = (Follower(log_engine, FileSink(str(path)), "a file") for _ in range(2))
    await follow_all(first)
    await chain(log_engine, 2)
    await follow_all(second)
    assert not path.exists()
    await follow_all(first)
    assert numbers(path.read_bytes().splitlines()) == [1, 2]


async def test_a_place_that_cannot_be_written_to_loses_nothing(log_engine: AsyncEngine, tmp_path: Path) -> None:
    folder = tmp_path / "mounted later"
    path = folder / "audit.jsonl"
    follower = Follower(log_engine, FileSink(str(path)), "a file")
    await chain(log_engine, 2)
    with pytest.raises(FileNotFoundError):
        await follower.follow()
    folder.mkdir()
    await follow_all(follower)
    assert numbers(path.read_bytes().splitlines()) == [1, 2]


def read_syslog(message: bytes) -> dict[str, Any]:
    """The entry in a message of RFC 5424; fails for another form."""
    priority_and_version, at, host, application, process, message_id, data, text = message.split(b" ", 7)
    assert priority_and_version == b"<110>1"
    assert at.endswith(b"Z")
    assert host
    assert (application, message_id, data) == (b"broadsheet", b"audit", b"-")
    assert int(process)
    entry: dict[str, Any] = json.loads(text)
    return entry


@pytest.mark.parametrize("family", ["udp", "udp over IPv6", "unix"])
async def test_syslog_gets_a_datagram_an_entry(log_engine: AsyncEngine, tmp_path: Path, family: str) -> None:
    match family:
        case "udp":
            receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            receiver.bind(("127.0.0.1", 0))
            address = f"syslog://127.0.0.1:{receiver.getsockname()[1]}"
        case "udp over IPv6":
            receiver = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            receiver.bind(("::1", 0))
            address = f"syslog://[::1]:{receiver.getsockname()[1]}"
        case _:
            receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            receiver.bind(str(tmp_path / "log"))
            address = f"syslog://{tmp_path / 'log'}"
    with receiver:
        receiver.settimeout(WAIT_MAX_S)
        await chain(log_engine, 3)
        await follow_all(Follower(log_engine, create_sink(parse_stream_target(address)), address))
        received = [read_syslog(await asyncio.to_thread(receiver.recv, 65_536)) for _ in range(3)]
    assert [one["number"] for one in received] == [1, 2, 3]
    assert received[0]["action"] == "issue.changed"


@contextmanager
def syslog_server() -> Iterator[tuple[int, list[bytes]]]:
    """Takes one connection, reads it to its end, closes it. Answers the port, and what came."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                while piece := connection.recv(65_536):
                    received.append(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1], received
        finally:
            thread.join(WAIT_MAX_S)


async def test_syslog_over_tcp_gets_messages_with_their_lengths(log_engine: AsyncEngine) -> None:
    await chain(log_engine, 3)
    with syslog_server() as (port, received):
        sink = SyslogSink(SyslogTarget("tcp", "127.0.0.1", port))
        await follow_all(Follower(log_engine, sink, "syslog"))
    rest = b"".join(received)
    found = []
    while rest:
        length, _, rest = rest.partition(b" ")
        found.append(read_syslog(rest[: int(length)])["number"])
        rest = rest[int(length) :]
    assert found == [1, 2, 3]


async def test_syslog_that_is_away_gets_all_when_it_is_back(
    log_engine: AsyncEngine,
) -> None:
    await chain(log_engine, 2)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    follower = Follower(log_engine, SyslogSink(SyslogTarget("tcp", "127.0.0.1", port)), "syslog")
    with pytest.raises(ConnectionRefusedError):
        await follower.follow()
    with syslog_server() as (other_port, received):
        again = Follower(log_engine, SyslogSink(SyslogTarget("tcp", "127.0.0.1", other_port)), "syslog")
        again._lease = follower._lease  # the same process, at another port
        await follow_all(again)
    assert b"".join(received).count(b'"number"') == 2


async def test_security_events_are_lines_of_the_log_and_others_are_not(log_engine: AsyncEngine) -> None:
    await chain(log_engine, 1, action="issue.changed")
    await chain(log_engine, 1, action="key.revoked")
    await chain(log_engine, 1, action="subscriber.erased")
    with capture_logs() as lines:
        await follow_all(Follower(log_engine, LogSink(), "log"))
    events = [line for line in lines if line["event"] == "security.audited"]
    assert [(one["number"], one["action"], one["actor"], one["source"], one["target_id"]) for one in events] == [
        (2, "key.revoked", "user:3", "203.0.113.9", "0"),
        (3, "subscriber.erased", "user:3", "203.0.113.9", "0"),
    ]


async def test_the_loops_chain_log_and_stream_what_was_committed(log_engine: AsyncEngine, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    loops = {loop.name: loop for loop in audit_loops(log_engine, stream=f"file:{path}")}
    assert loops.keys() == {"gateway.audit_chain", "gateway.audit_log", "gateway.audit_stream"}
    async with log_engine.begin() as connection:
        await record_audit(connection, SOMEBODY, "key.created", 4)
    with capture_logs() as lines:
        for loop in loops.values():
            await loop.run_round()
    assert [line["event"] for line in lines] == ["security.audited"]
    assert numbers(path.read_bytes().splitlines()) == [1]


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("file:/var/log/broadsheet/audit.jsonl", FileTarget("/var/log/broadsheet/audit.jsonl")),
        ("file:///var/log/audit.jsonl", FileTarget("/var/log/audit.jsonl")),
        ("syslog://logs.internal:6514", SyslogTarget("udp", "logs.internal", 6514)),
        ("syslog://logs.internal", SyslogTarget("udp", "logs.internal", 514)),
        ("syslog://[2001:db8::1]:514", SyslogTarget("udp", "2001:db8::1", 514)),
        ("syslog+tcp://logs.internal:601", SyslogTarget("tcp", "logs.internal", 601)),
        ("syslog:///dev/log", SyslogTarget("unix", path="/dev/log")),
    ],
)
def test_a_stream_is_a_file_or_a_syslog(text: str, target: FileTarget | SyslogTarget) -> None:
    assert parse_stream_target(text) == target


@pytest.mark.parametrize(
    "text",
    ["", "audit.jsonl", "file:audit.jsonl", "file:/", "file://host/path", "http://logs", "syslog:", "syslog://",
     "syslog://user:secret@logs", "syslog://logs/path", "syslog+tcp:///dev/log", "syslog://logs:99999",
     "syslog://logs?x=1"],
)  # fmt: skip
def test_no_other_text_is_a_stream(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_stream_target(text)
