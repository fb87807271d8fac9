"""Requests at a given rate over kept connections, cheap enough to share a machine with what they measure.

An open loop: a request is due when its time has come, whether or not earlier ones were answered, and its time counts
from then; a slow server cannot slow the load down. Without a rate each connection asks again as soon as it is answered,
which finds the most that the connections can carry.
"""

import asyncio
import re
import time
from collections import Counter, deque
from collections.abc import Sequence
from itertools import cycle
from typing import Protocol, cast

import msgspec
import uvloop

from broadsheet_local.bench.measuring.claim_log import percentile
from broadsheet_local.errors import LaunchError

LOCALHOST = "127.0.0.1"
CONNECT_TIMEOUT_S = 10.0
ANSWERS_TIMEOUT_S = 30.0
"""How long the last answers may take once everything was sent."""
TICK_S = 0.001
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)

Kind = str


class Work(Protocol):
    """What is asked for. Called on the load's own thread, one call at a time."""

    def request(self) -> tuple[Kind, int, bytes]:
        """The next request: its kind, a number of its own, and its bytes."""
        ...

    def answered(self, kind: Kind, number: int, status: int, body: bytes) -> bool:
        """Note an answer. Whether it is what was asked for."""
        ...


class KindFigures(msgspec.Struct, frozen=True):
    """`ms_…` of the right answers; `refused`: 429 and 503; `wrong`: every other answer but the right one, and none."""

    asked: int
    answered_per_s: float
    ms_p50: float
    ms_p99: float
    ms_max: float
    refused: int
    refused_ms_p99: float
    wrong: int


class LoadFigures(msgspec.Struct, frozen=True):
    """`offered_per_s` is 0 for a load without a rate. `seconds`: from the first request to the last answer in time."""

    offered_per_s: float
    seconds: float
    kinds: dict[Kind, KindFigures]


class _Tally:
    def __init__(self) -> None:
        self.asked: Counter[Kind] = Counter()
        self.times_ms: dict[Kind, list[float]] = {}
        self.refused_ms: dict[Kind, list[float]] = {}
        self.wrong: Counter[Kind] = Counter()
        self.in_time: Counter[Kind] = Counter()


class _Connection(asyncio.Protocol):
    """One request at a time. `is_free` is called when the next one may be sent."""

    def __init__(self, load: "_Load") -> None:
        self._load = load
        self._buffer = b""
        self._body_from = -1
        self._ends_at = 0
        self.transport: asyncio.Transport | None = None
        self.asked: tuple[Kind, int, float] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, kind: Kind, number: int, request: bytes, *, due_s: float) -> None:
        assert self.transport is not None
        self.asked = (kind, number, due_s)
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if self._body_from < 0:
            head_end = self._buffer.find(_HEAD_END)
            if head_end < 0:
                return
            self._body_from = head_end + len(_HEAD_END)
            length = _LENGTH.search(self._buffer, 0, head_end)
            self._ends_at = self._body_from + (int(length[1]) if length else 0)
        if len(self._buffer) < self._ends_at:
            return
        answer, body = self._buffer, self._buffer[self._body_from : self._ends_at]
        closes = _CLOSES.search(answer, 0, self._body_from) is not None
        self._buffer, self._body_from = b"", -1
        self._load.note(self, int(answer[9:12]), body)
        if closes and self.transport is not None:
            self.transport.close()  # and `connection_lost` opens another one
        else:
            self._load.is_free(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self._load.lost(self)


class _Load:
    def __init__(
        self,
        work: Work,
        *,
        host: str,
        port: int,
        connections: int,
        rate_per_s: float | None,
        seconds: float,
        sources: Sequence[str],
    ) -> None:
        self._work = work
        self._host = host
        self._port = port
        self._connections = connections
        self._sources = cycle(sources)
        self._rate_per_s = rate_per_s
        self._seconds = seconds
        self._free: deque[_Connection] = deque()
        self._opened: set[_Connection] = set()
        self._due: deque[float] = deque()
        self._asking = True
        self._under_way = 0
        self._ends_at_s = 0.0
        self._last_answer_s = 0.0
        self._settled = asyncio.Event()
        self._reconnecting: set[asyncio.Task[None]] = set()
        self.tally = _Tally()

    async def run(self) -> LoadFigures:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await asyncio.gather(*(self._connect() for _ in range(self._connections)))
        began_s = time.perf_counter()
        self._ends_at_s = self._last_answer_s = began_s + self._seconds
        if self._rate_per_s is None:
            for connection in list(self._free):
                self._ask(connection, began_s)
            await asyncio.sleep(self._seconds)
        else:
            await self._offer(began_s, self._rate_per_s)
        self._asking = False
        unsent = len(self._due)
        await self._wait_for_answers()
        for task in self._reconnecting:
            task.cancel()
        for connection in list(self._opened):
            if connection.transport is not None:
                connection.transport.abort()
        return self._figures(unsent)

    async def _offer(self, began_s: float, rate_per_s: float) -> None:
        sent = 0
        total = int(rate_per_s * self._seconds)
        while sent < total:
            now_s = time.perf_counter()
            due = min(total, int((now_s - began_s) * rate_per_s) + 1)
            while sent < due:
                self._due.append(began_s + sent / rate_per_s)
                sent += 1
            while self._free and self._due:
                self._ask(self._free.popleft(), self._due.popleft())
            await asyncio.sleep(TICK_S)

    async def _wait_for_answers(self) -> None:
        """What is still due is sent too: it is late, and its time says so."""
        if self._under_way or self._due:
            self._settled.clear()
            try:
                async with asyncio.timeout(ANSWERS_TIMEOUT_S):
                    await self._settled.wait()
            except TimeoutError:
                pass  # counted as wrong

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        local = (next(self._sources), 0)
        _, connection = await loop.create_connection(
            lambda: _Connection(self), self._host, self._port, local_addr=local
        )
        self._opened.add(connection)
        self._free.append(connection)

    def _ask(self, connection: _Connection, due_s: float) -> None:
        kind, number, request = self._work.request()
        self.tally.asked[kind] += 1
        self._under_way += 1
        connection.ask(kind, number, request, due_s=due_s)

    def is_free(self, connection: _Connection) -> None:
        if self._rate_per_s is None:
            if self._asking:
                self._ask(connection, time.perf_counter())
        elif self._due:
            self._ask(connection, self._due.popleft())
        else:
            self._free.append(connection)
        if not self._asking and self._under_way == 0 and not self._due:
            self._settled.set()

    def note(self, connection: _Connection, status: int, body: bytes) -> None:
        assert connection.asked is not None
        kind, number, due_s = connection.asked
        connection.asked = None
        self._under_way -= 1
        now_s = time.perf_counter()
        tally = self.tally
        took_ms = (now_s - due_s) * 1000
        if self._work.answered(kind, number, status, body):
            tally.times_ms.setdefault(kind, []).append(took_ms)
            tally.in_time[kind] += now_s <= self._ends_at_s
        elif status in {429, 503}:
            tally.refused_ms.setdefault(kind, []).append(took_ms)
        else:
            tally.wrong[kind] += 1

    def lost(self, connection: _Connection) -> None:
        self._opened.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        if connection.asked is not None:
            self.tally.wrong[connection.asked[0]] += 1
            connection.asked = None
            self._under_way -= 1
        if self._asking or self._due:
            task = asyncio.ensure_future(self._replace())
            self._reconnecting.add(task)
            task.add_done_callback(self._reconnecting.discard)

    async def _replace(self) -> None:
        try:
            await self._connect()
        except OSError:
            return  # fewer connections: the load's own times show it
        if self._free:
            self.is_free(self._free.pop())

    def _figures(self, unsent: int) -> LoadFigures:
        tally, kinds = self.tally, {}
        for kind in tally.asked:
            times_ms, refused_ms = tally.times_ms.get(kind, []), tally.refused_ms.get(kind, [])
            answered = len(times_ms) + len(refused_ms) + tally.wrong[kind]
            kinds[kind] = KindFigures(
                asked=tally.asked[kind],
                answered_per_s=round(tally.in_time[kind] / self._seconds, 1),
                ms_p50=_percentile(times_ms, 50),
                ms_p99=_percentile(times_ms, 99),
                ms_max=_percentile(times_ms, 100),
                refused=len(refused_ms),
                refused_ms_p99=_percentile(refused_ms, 99),
                wrong=tally.wrong[kind] + tally.asked[kind] - answered,
            )
        if not kinds:
            raise LaunchError(f"nothing was asked, and {unsent} requests were due")
        return LoadFigures(round(self._rate_per_s or 0.0, 1), self._seconds, kinds)


def _percentile(times_ms: list[float], percent: int) -> float:
    return round(percentile(times_ms, percent), 2) if times_ms else 0.0


def offer_load(
    work: Work,
    *,
    url: tuple[str, int],
    connections: int,
    rate_per_s: float | None,
    seconds: float,
    sources: Sequence[str] = (LOCALHOST,),
) -> LoadFigures:
    """Blocks: to be run in a thread, beside which the caller's loop watches the processes. `url`: host and port.
    `sources`: the addresses that the connections come from, in turn; those of one have a bound.

    Raises:
        OSError: no connection.
    """
    host, port = url

    async def run() -> LoadFigures:
        load = _Load(
            work,
            host=host,
            port=port,
            connections=connections,
            rate_per_s=rate_per_s,
            seconds=seconds,
            sources=sources,
        )
        return await load.run()

    return uvloop.run(run())


def raw_request(
    method: str, path: str, *, host: str, headers: dict[str, str] | None = None, body: bytes | None = None
) -> bytes:
    """A request's bytes."""
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {host}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + (body or b"")
