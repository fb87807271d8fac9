"""The compiler's processes: warm, without secrets, and replaced when a text ends one of them."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest

from broadsheet_publishing.compiling.compile_message import LENGTH_BYTES, CompileOrder, encode
from broadsheet_publishing.compiling.compiled_issue import CompiledIssue, CompileError
from broadsheet_publishing.compiling.compiler import Compiler, CompilerBusyError, CompilerSettings
from broadsheet_publishing.compiling.issue_source import IssueSource

from .compiled import BARE, LOOK, compiled

pytestmark = pytest.mark.process
SLOW = "sleep"
DEAD = "die"
WORKER = f"""
import os, signal, sys, time
from broadsheet_publishing.compiling import compile_worker
compile_it = compile_worker.compile_issue
def compile_issue(source, **rest):
    if source.content == {SLOW!r}:
        time.sleep(3600)
    if source.content == {DEAD!r}:
        os.kill(os.getpid(), signal.SIGSEGV)
    if source.content == "fail":
        raise RuntimeError("secret words of the text")
    if source.content == "memory":
        bytearray(1 << 40)
    if source.content == "environment":
        return compile_it(type(source)(title="x", content="`" + ",".join(sorted(os.environ)) + "`"), **rest)
    if source.content == "process":
        return compile_it(type(source)(title="x", content=str(os.getpid())), **rest)
    return compile_it(source, **rest)
compile_worker.compile_issue = compile_issue
compile_worker.main()
"""
"""The program, with texts that make it slow or end it."""


@asynccontextmanager
async def compiler(monkeypatch: pytest.MonkeyPatch, **settings: float) -> AsyncIterator[Compiler]:
    start = asyncio.create_subprocess_exec

    async def with_our_program(python: str, *arguments: str, **rest: object) -> asyncio.subprocess.Process:
        assert (python, *arguments[:2]) == (sys.executable, "-m", "broadsheet_publishing.compiling.compile_worker")
        return await start(python, "-c", WORKER, *arguments[2:], **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", with_our_program)
    async with Compiler(msgspec.convert({"timeout_s": 60, **settings}, CompilerSettings)) as one:
        yield one


async def until(holds: Callable[[], bool]) -> None:
    """The tasks that were started run until they wait for the other process."""
    while not holds():  # noqa: ASYNC110  # what changes is a private state that tells nobody
        await asyncio.sleep(0)


async def ask(one: Compiler, content: str) -> CompiledIssue:
    source = IssueSource(title="Title", content=content)
    return await one.compile(source, layout=BARE, look=LOOK, attributes=frozenset())


async def codes(one: Compiler, content: str) -> list[str]:
    with pytest.raises(CompileError) as caught:
        await ask(one, content)
    return [fault.code for fault in caught.value.faults]


async def test_it_compiles_as_the_function_does_and_says_the_same_faults() -> None:
    async with Compiler() as one:
        assert await ask(one, "# Hi {{ subscriber.name }}") == compiled("# Hi {{ subscriber.name }}")
        assert await codes(one, "{{ nobody }}\n\n<script></script>") == ["unknown-field", "script"]


async def test_a_process_serves_many_issues(monkeypatch: pytest.MonkeyPatch) -> None:
    async with compiler(monkeypatch) as one:
        assert (await ask(one, "process")).text_content == (await ask(one, "process")).text_content


async def test_a_text_that_ends_the_process_has_a_fault_and_the_next_one_is_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with compiler(monkeypatch) as one:
        before = await ask(one, "process")
        assert await codes(one, DEAD) == ["compile-crashed"]
        assert (await ask(one, "process")).text_content != before.text_content


async def test_a_text_that_takes_too_long_has_a_fault_and_its_process_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with compiler(monkeypatch) as one:
        await ask(one, "warm")
        one._processes[0]._settings = msgspec.structs.replace(one._settings, timeout_s=0.2)
        assert await codes(one, SLOW) == ["compile-timeout"]
        one._processes[0]._settings = one._settings
        assert "still" in (await ask(one, "still")).text_content


async def test_a_text_that_takes_too_much_memory_has_a_fault_and_the_process_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with compiler(monkeypatch) as one:
        before = await ask(one, "process")
        assert await codes(one, "memory") == ["too-large"]
        assert await ask(one, "process") == before


async def test_an_error_of_ours_is_a_fault_and_its_text_stays_in_the_process(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with compiler(monkeypatch) as one:
        with pytest.raises(CompileError) as caught:
            await ask(one, "fail")
        assert [fault.code for fault in caught.value.faults] == ["compile-crashed"]
        assert "secret words" not in str(caught.value) + caplog.text
        await ask(one, "goes on")


async def test_a_caller_who_gives_up_leaves_no_answer_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    async with compiler(monkeypatch) as one:
        await ask(one, "warm")
        waiting = asyncio.create_task(ask(one, SLOW))
        await until(one._idle.empty)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert "mine" in (await ask(one, "mine")).text_content


async def test_more_than_may_wait_are_told_that_it_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with compiler(monkeypatch, waiting_max=1) as one:
        first = asyncio.create_task(ask(one, SLOW))
        await until(one._idle.empty)
        second = asyncio.create_task(ask(one, "second"))
        await until(lambda: one._waiting > 0)
        with pytest.raises(CompilerBusyError) as caught:
            await ask(one, "third")
        assert [fault.code for fault in caught.value.faults] == ["compiler-busy"]
        first.cancel()
        assert "second" in (await second).text_content
        await asyncio.gather(first, return_exceptions=True)


async def test_each_process_has_one_issue_at_a_time_and_several_work_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with compiler(monkeypatch, processes=2) as one:
        slow = asyncio.create_task(ask(one, SLOW))
        await until(lambda: one._idle.qsize() == 1)
        assert "meanwhile" in (await ask(one, "meanwhile")).text_content
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)


async def test_the_process_gets_none_of_the_services_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://secret")
    monkeypatch.setenv("IDENTITY_PUBLIC_KEY", "key")
    async with compiler(monkeypatch) as one:
        names = set((await ask(one, "environment")).text_content.split("\n")[0].split(","))
    assert "PATH" in names
    assert names <= {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}


async def test_processes_that_nobody_needs_yet_are_started_soon() -> None:
    async with Compiler(CompilerSettings(processes=2, start_after_s=0.01)) as one:
        assert [process._process for process in one._processes] == [None, None]
        await until(lambda: all(process._process is not None for process in one._processes))
    async with Compiler(CompilerSettings(start_after_s=60)) as one:
        await ask(one, "x")


async def test_all_processes_have_ended_when_the_compiler_ends() -> None:
    async with Compiler(CompilerSettings(processes=2, start_after_s=0)) as one:
        await ask(one, "x")
        pids = [process._process.pid for process in one._processes if process._process is not None]
        assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_process_whose_service_was_killed_does_not_stay_with_a_text_that_never_ends() -> None:
    """Nobody is there who would end it: its own alarm does, whatever it is doing."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        WORKER,
        str(1 << 30),
        "1",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None
    order = encode(CompileOrder(IssueSource(title="Title", content=SLOW), BARE, LOOK, frozenset()))
    process.stdin.write(len(order).to_bytes(LENGTH_BYTES, "big") + order)
    await process.stdin.drain()
    assert await process.wait() == -signal.SIGALRM


@pytest.mark.parametrize(
    "settings", [{"processes": 0}, {"processes": 5}, {"timeout_s": 0}, {"waiting_max": -1}, {"memory_bytes_max": 1}]
)
def test_settings_have_bounds(settings: dict[str, int]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, CompilerSettings)
