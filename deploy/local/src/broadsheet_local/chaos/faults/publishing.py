"""Publishing dies while it makes an issue."""

import asyncio
import signal
import time
from datetime import UTC, datetime, timedelta

import psutil  # type: ignore[import-untyped]
import psycopg

from broadsheet_local.chaos.faults.database import is_settled
from broadsheet_local.chaos.stage import Stage
from broadsheet_local.demo.bulk_import import CONNECT_TIMEOUT_S
from broadsheet_local.supervision.concurrency import in_thread
from broadsheet_local.supervision.leftovers import is_alive

COMPILER_ENDS_MAX_S = 20.0
"""It ends once it is at its answer, which nobody takes any more: COMPILER_TIMEOUT_S at the latest, and its alarm."""
COMPILER_PROGRAM = "broadsheet_publishing.compiling.compile_worker"
_WORKS_MAX_S = 30.0
_LOOK_EVERY_S = 0.01
_CLAUSE = (
    "{n}. **Clause {n}.** The *lessee* shall, under [section {n}](https://law.example/section/{n}), keep `item {n}` in "
    "repair.\n\n    - unless the lessor *agrees* in writing;\n    - or the lease has [ended](https://law.example/{n}).\n\n"
)
_WHOLE = """\
SELECT status,
       (SELECT count(*) FROM publishing.compiled_content WHERE issue_id = issue.id),
       (SELECT count(*) FROM delivery.issue_run WHERE issue_id = issue.id),
       (SELECT count(*) FROM publishing.fan_out WHERE issue_id = issue.id)
  FROM publishing.issue
 WHERE id = %s
"""
_STATES = {("draft", 0, 0, 0), ("scheduled", 1, 0, 0), ("published", 1, 1, 1)}
"""What an issue may be at any moment: nothing of it is there, or all."""


def terms(clauses: int) -> str:
    """A long legal text, which takes a second or more to compile."""
    return "# Terms of {{ subscriber.name }}\n\n" + "".join(_CLAUSE.format(n=n) for n in range(1, clauses + 1))


async def kill_while_compiling(stage: Stage) -> None:
    """`kill -9` of publishing while its compiler works on an issue that is being published or scheduled. The issue is
    what it was, or whole; the client that comes back with its key gets one result; no process of the compiler stays.
    """
    is_scheduled = stage.chance(0.5)
    readers = await stage.readers(stage.random.randint(40, 80))
    title = f"Issue {stage.slug()}"
    after = await stage.sandbox.messages()
    body = {"title": title, "content": terms(stage.random.randint(200, 400)), "newsletter_id": readers.newsletter_id}
    issue_id = (await stage.insist("POST", "/api/v1/issues", json=body, key=f"create-{title}")).json()["id"]
    path = f"/api/v1/issues/{issue_id}"
    # The compiler's process is there by the first answer; the second is what is measured.
    await stage.insist("POST", f"{path}/preview", json={}, key="none")
    (worker,) = _compilers(stage)
    before_s = _cpu_s(worker)
    await stage.insist("POST", f"{path}/preview", json={}, key="none")
    compile_s = _cpu_s(worker) - before_s
    stage.note(f"it takes {compile_s:.2f} s of a processor to compile")

    at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    step, sent = ("schedule", {"at": at}) if is_scheduled else ("publish", None)
    key = f"{step}-{title}"
    before_s = _cpu_s(worker)
    asking = asyncio.create_task(stage.insist("POST", f"{path}/{step}", json=sent, key=key))
    try:
        # Beyond the time to compile it, the same process checks the mail that was made.
        await _until_worked(stage, worker, before_s + compile_s * stage.random.uniform(0.02, 1.3), asking)
        worked = (_cpu_s(worker) - before_s) / compile_s
        stage.stack.send_signal("publishing", signal.SIGKILL)
        stage.note(f"killed publishing at {worked:.0%} of compiling, to {step}")
        began = time.monotonic()
        # Until publishing is started again: whoever finds it ended also ends what it left behind.
        gone_s = await stage.when(lambda: _is_gone(worker), within_s=COMPILER_ENDS_MAX_S)
        stage.recovered(gone_s, within_s=COMPILER_ENDS_MAX_S, what="from the kill, its compiler had ended")
        await _is_whole(stage, issue_id)
        await stage.pause_s(0.0, 1.5)
        await stage.stack.start("publishing")
        stage.note(f"publishing is back {time.monotonic() - began:.1f} s after the kill")
        first = await asking
    finally:
        asking.cancel()
    again = await stage.insist("POST", f"{path}/{step}", json=sent, key=key)
    stage.expect((again.status, again.body) == (first.status, first.body), f"one key had two answers: {first}, {again}")
    await _is_whole(stage, issue_id)
    if is_scheduled:
        await stage.insist("POST", f"{path}/publish", key=f"publish-{title}")
        await _is_whole(stage, issue_id)
    campaign = stage.adopt(title, issue_id, readers, after)
    await is_settled(stage, campaign)
    steps = [one["step"] for one in (await stage.insist("GET", f"{path}/history", key="none")).json()["items"]]
    wanted = ["created", "scheduled", "published"] if is_scheduled else ["created", "published"]
    stage.expect(steps[::-1] == wanted, f"its history is {steps[::-1]}, not {wanted}")
    stage.expect(len(_compilers(stage)) == 1, "there is more than one process of the compiler")


def _compilers(stage: Stage) -> list[psutil.Process]:
    service = psutil.Process(stage.stack.running["publishing"].child.pid)
    return [one for one in service.children() if COMPILER_PROGRAM in one.cmdline()]


def _cpu_s(worker: psutil.Process) -> float:
    """Seconds of a processor that it has used."""
    times = worker.cpu_times()
    return float(times.user + times.system)


async def _until_worked(stage: Stage, worker: psutil.Process, cpu_s: float, asking: asyncio.Task[object]) -> None:
    """Or until the step is done: the rest of checking may be shorter than was drawn."""
    began = time.monotonic()
    while _cpu_s(worker) < cpu_s and not asking.done():
        if time.monotonic() - began > _WORKS_MAX_S:
            stage.expect(holds=False, otherwise=f"the compiler did not work for {_WORKS_MAX_S:g} s")
            return
        await asyncio.sleep(_LOOK_EVERY_S)
    if asking.done():
        stage.note("it was done before the kill")


async def _is_gone(worker: psutil.Process) -> bool:
    await asyncio.sleep(0)
    return not is_alive(worker)


async def _is_whole(stage: Stage, issue_id: int) -> None:
    """As the owner of the database sees it: at every moment, whoever runs."""

    def read() -> tuple[object, ...]:
        with psycopg.connect(stage.stack.postgres.url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            row = connection.execute(_WHOLE, (issue_id,)).fetchone()
        assert row is not None
        return tuple(row)

    state = await in_thread(read)
    stage.note(f"status, compiled contents, runs, fan-outs: {state}")
    stage.expect(state in _STATES, f"the issue is half of what it should be: {state}")
