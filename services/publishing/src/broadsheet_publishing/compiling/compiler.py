"""The service's side of the compiler: a few warm processes (`compile_worker`), each with one order at a time.

A process that takes too long or dies is replaced, and its issue gets a fault. Texts are compiled in the order in which
they come; whoever finds the queue full is told so at once.
"""

import asyncio
import contextlib
import math
import os
import sys
from types import TracebackType
from typing import Annotated, Final, Self

import msgspec
import structlog

from broadsheet_publishing.checks.check_subject import CheckReport, CheckSubject
from broadsheet_publishing.compiling.compile_message import (
    LENGTH_BYTES,
    MESSAGE_BYTES_MAX,
    Answer,
    Checked,
    CheckOrder,
    Compiled,
    CompileOrder,
    Failed,
    Faulty,
    Order,
    decode_answer,
    encode,
)
from broadsheet_publishing.compiling.compiled_issue import CompiledIssue, CompileError, Fault
from broadsheet_publishing.compiling.issue_source import IssueSource, Layout, Look

_PASSED_ON: Final = frozenset({"PATH", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"})
"""The environment variables that a process gets: what Python needs, and none of the service's secrets."""
_STARTING_TIMEOUT_S: Final = 30.0
"""A fresh process loads its parsers first, perhaps on a busy machine."""
_ALARM_AFTER_S: Final = 5
"""How much longer than the service a process waits before it ends itself: only if the service is not there any more."""
_ISSUES_OF_A_PROCESS_MAX: Final = 5_000
"""Then it is replaced, so that what a parser may leak stays bounded."""

_log = structlog.get_logger()

_TIMED_OUT: Final = Fault(
    code="compile-timeout",
    field="content",
    detail="It takes too long to compile. Shorten it, or simplify what is nested or repeated in it.",
)
_CRASHED: Final = Fault(
    code="compile-crashed",
    field="content",
    detail="It cannot be compiled: its markup makes a parser fail. Take out what you added last, and try again.",
)
_BUSY: Final = Fault(
    code="compiler-busy", field="content", detail="Too many issues are being compiled. Try again in a few seconds."
)


class CompilerSettings(msgspec.Struct, frozen=True, kw_only=True):
    processes: Annotated[int, msgspec.Meta(ge=1, le=4)] = 1
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=60)] = 10.0
    """For one issue, and for waiting until its turn comes."""
    memory_bytes_max: Annotated[int, msgspec.Meta(ge=256 * 1024 * 1024)] = 1024 * 1024 * 1024
    """Of one process (its address space)."""
    waiting_max: Annotated[int, msgspec.Meta(ge=0, le=1_000)] = 32
    """Issues that wait for a process."""
    start_after_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 1.0
    """Processes that were not needed by then are started."""


class CompilerBusyError(CompileError):
    """Nothing is wrong with the issue: too many are being compiled, and it may be tried again."""

    def __init__(self) -> None:
        super().__init__((_BUSY,))


class Compiler:
    """An async context: its processes start soon after it, or when they are first needed, and have ended when it ends.
    It belongs to one event loop.
    """

    def __init__(self, settings: CompilerSettings | None = None) -> None:
        self._settings = settings or CompilerSettings()
        self._processes = [_Process(self._settings) for _ in range(self._settings.processes)]
        self._idle: asyncio.LifoQueue[_Process] = asyncio.LifoQueue()
        self._waiting = 0
        self._starting: asyncio.TimerHandle | None = None
        self._started: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        for process in self._processes:
            self._idle.put_nowait(process)
        # Loading the parsers takes a second of a processor: not while the service itself starts.
        self._starting = asyncio.get_running_loop().call_later(self._settings.start_after_s, self._start_soon)
        return self

    def _start_soon(self) -> None:
        self._started = asyncio.create_task(self._start_idle())

    async def _start_idle(self) -> None:
        """Those that nobody needed yet. One that cannot be started is told to whoever needs it."""
        idle = [self._idle.get_nowait() for _ in range(self._idle.qsize())]
        try:
            for process in idle:
                await process.start()
        except OSError as error:
            _log.warning("compiler.not_started", error=type(error).__name__)
        finally:
            for process in idle:
                self._idle.put_nowait(process)

    async def __aexit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._starting is not None:
            self._starting.cancel()
        if self._started is not None:
            await self._started
        for process in self._processes:
            await process.close()

    async def compile(
        self, source: IssueSource, *, layout: Layout | None, look: Look, attributes: frozenset[str]
    ) -> CompiledIssue:
        """As `compile_issue`.

        Raises:
            CompileError: the issue's faults; also if it takes too long, or a parser crashes on it.
            CompilerBusyError: a CompileError; too many issues wait.
        """
        match await self._ask(CompileOrder(source, layout, look, attributes)):
            case Compiled(issue):
                return issue
            case _:
                raise CompileError((_CRASHED,))

    async def check(self, subject: CheckSubject) -> CheckReport:
        """As `check_subject`.

        Raises:
            CompileError: it takes too long, or a parser crashes on it.
            CompilerBusyError: a CompileError; too many issues wait.
        """
        match await self._ask(CheckOrder(subject)):
            case Checked(report):
                return report
            case _:
                raise CompileError((_CRASHED,))

    async def _ask(self, order: Order) -> Answer:
        """Raises CompileError."""
        process = await self._free_process()
        try:
            answer = await process.ask(encode(order))
        finally:
            try:
                await asyncio.shield(process.start())
            finally:
                self._idle.put_nowait(process)
        match answer:
            case Faulty(faults):
                raise CompileError(faults)
            case Failed(error, place):
                _log.error("compiler.failed", error=error, place=place)
                raise CompileError((_CRASHED,))
            case _:
                return answer

    async def _free_process(self) -> "_Process":
        if self._idle.empty() and self._waiting >= self._settings.waiting_max:
            raise CompilerBusyError
        self._waiting += 1
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                return await self._idle.get()
        except TimeoutError as error:
            raise CompilerBusyError from error
        finally:
            self._waiting -= 1


class _Process:
    """One process. One that has ended is started again before it is asked."""

    def __init__(self, settings: CompilerSettings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._is_ready = False
        self._is_closed = False
        self._asked = 0

    async def start(self) -> None:
        """Does nothing if it runs, or was closed."""
        if self._process is not None or self._is_closed:
            return
        self._asked, self._is_ready = 0, False
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "broadsheet_publishing.compiling.compile_worker",
            str(self._settings.memory_bytes_max),
            str(math.ceil(self._settings.timeout_s) + _ALARM_AFTER_S),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # What a parser says last may quote the text.
            stderr=asyncio.subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if name in _PASSED_ON},
        )

    async def close(self) -> None:
        """It ends and is never started again, also if somebody still waits for its answer."""
        self._is_closed = True
        await self.end()

    async def end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        assert process.stdin is not None
        process.stdin.close()
        await process.communicate()

    async def ask(self, message: bytes) -> Answer:
        """The answer to one order. Raises CompileError if there is none; then the process has ended."""
        if self._process is not None and (
            self._process.returncode is not None or self._asked >= _ISSUES_OF_A_PROCESS_MAX
        ):
            await self.end()
        await self.start()
        if self._process is None:
            raise CompilerBusyError
        self._asked += 1
        is_answered = False
        try:
            if not self._is_ready:
                async with asyncio.timeout(_STARTING_TIMEOUT_S):
                    await self._read()
                self._is_ready = True
            async with asyncio.timeout(self._settings.timeout_s):
                answer = await self._exchange(message)
            is_answered = True
        except TimeoutError as error:
            _log.warning("compiler.timed_out", was_ready=self._is_ready)
            raise CompileError((_TIMED_OUT,)) from error
        except (asyncio.IncompleteReadError, ConnectionError, msgspec.DecodeError) as error:
            _log.warning("compiler.crashed", error=type(error).__name__)
            raise CompileError((_CRASHED,)) from error
        finally:
            # Also if the caller gave up: what the process is doing would be the answer to the next order.
            if not is_answered:
                await asyncio.shield(self.end())
        return answer

    async def _exchange(self, message: bytes) -> Answer:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(len(message).to_bytes(LENGTH_BYTES, "big") + message)
        await self._process.stdin.drain()
        return decode_answer.decode(await self._read())

    async def _read(self) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        size = int.from_bytes(await self._process.stdout.readexactly(LENGTH_BYTES), "big")
        if size > MESSAGE_BYTES_MAX:
            raise ConnectionError(f"an answer of {size} bytes")
        return await self._process.stdout.readexactly(size)
