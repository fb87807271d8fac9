"""Processes whose clock is wrong by an hour: leases, waits and schedules are the database's."""

import asyncio
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import psycopg

from broadsheet_local.chaos.shortened import LEASE_S
from broadsheet_local.chaos.stack import StackOptions
from broadsheet_local.chaos.stage import Stage
from broadsheet_local.demo.bulk_import import CONNECT_TIMEOUT_S
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.concurrency import in_thread

THREE_SENDERS = StackOptions(replicas=3)
RECOVERY_MAX_S = LEASE_S + 10.0
COMPILE_TIMEOUT_S = 60.0
SENDERS_OFF_S = {"delivery-2": 3600, "delivery-3": -3600}
PUBLISHERS_OFF_S = {"publishing-2": 3600, "publishing-3": -3600}
DUE_IN_MIN_S, DUE_IN_MAX_S = 2.5, 5.0
FIRE_MAX_S = 15.0
EARLY_LOOK_S = 0.2


async def shifted_clocks(stage: Stage) -> None:
    """Two senders are an hour early and an hour late; the third is killed, so that they must rescue its chunks.

    Only senders are shifted: between services an hour's difference is refused by design (identities live
    minutes).
    """
    await _shift(stage, SENDERS_OFF_S)
    drop = {"kind": "drop_after", "name": "drop", "probability": 0.1, "count": 3}
    await stage.slow_calls(drop, high_ms=350)
    campaign = await stage.publish(stage.random.randint(800, 1200))
    await stage.moment(campaign)
    victim = stage.random.choice(stage.stack.replicas)
    stage.stack.send_signal(victim, signal.SIGKILL)
    stage.note(f"killed {victim}")
    began = time.monotonic()
    settled = await stage.settled(campaign)
    seconds = None if settled is None else max(0.0, campaign.status_since_s - began)
    stage.recovered(seconds, within_s=RECOVERY_MAX_S, what="from the kill, everything was settled")


async def schedules_by_shifted_clocks(stage: Stage) -> None:
    """Of three publishers one is an hour early, one an hour late; one of them is killed about when an issue is due.

    The one that takes requests has the right time: between services an hour's difference is refused by design.
    """
    await _shift(stage, PUBLISHERS_OFF_S)
    await stage.slow_calls(low_ms=50, high_ms=150)
    readers = await stage.readers(stage.random.randint(300, 600))
    title, after = f"Issue {stage.slug()}", await stage.sandbox.messages()
    issue_id = await stage.create_issue(readers, title, publish=False)
    campaign = stage.adopt(title, issue_id, readers, after)
    due_in_s = stage.random.uniform(DUE_IN_MIN_S, DUE_IN_MAX_S)
    due_at = await _database_time(stage, due_in_s)
    due = time.monotonic() + due_in_s
    path = f"/api/v1/issues/{issue_id}/schedule"
    await stage.insist("POST", path, json={"at": due_at}, key=f"schedule-{title}")
    stage.note(f"issue {issue_id} is due in {due_in_s:.2f} s")
    await asyncio.sleep(max(0.0, due - time.monotonic() - EARLY_LOOK_S))
    early = await stage.sandbox.messages() - after
    stage.expect(early == 0, f"{early} mails went out before their time")
    await asyncio.sleep(max(0.0, due - time.monotonic() + stage.random.uniform(-0.3, 0.6)))
    victim = stage.random.choice(["publishing", *PUBLISHERS_OFF_S])
    await stage.stack.end(victim, signal.SIGKILL)
    stage.note(f"killed {victim}")
    await stage.stack.start(victim)
    settled = await stage.settled(campaign)
    seconds = None if settled is None else max(0.0, campaign.status_since_s - due)
    stage.recovered(seconds, within_s=FIRE_MAX_S, what="from its time, everything was settled")
    fired = await in_thread(lambda: _fired(stage, issue_id))
    stage.expect(fired == (1, 1, True), f"it was not published exactly once, at its time or later: {fired}")


async def _database_time(stage: Stage, later_s: float) -> str:
    def ask() -> str:
        with psycopg.connect(stage.stack.postgres.url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            row = connection.execute("SELECT now()").fetchone()
        assert row is not None
        moment: datetime = row[0] + timedelta(seconds=later_s)
        return moment.astimezone(UTC).isoformat(timespec="milliseconds")

    return await in_thread(ask)


def _fired(stage: Stage, issue_id: int) -> tuple[int, int, bool]:
    """Runs and fan-outs of the issue, and whether it was published at its time or later."""
    with psycopg.connect(stage.stack.postgres.url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        row = connection.execute(
            """
            SELECT (SELECT count(*) FROM delivery.issue_run WHERE issue_id = issue.id),
                   (SELECT count(*) FROM publishing.fan_out WHERE issue_id = issue.id), published_at >= scheduled_at
              FROM publishing.issue WHERE id = %s
            """,
            [issue_id],
        ).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


async def _shift(stage: Stage, shifts_s: Mapping[str, int]) -> None:
    """Done once for a stack: its processes keep their wrong clocks, also when they are started again."""
    stack = stage.stack
    if not stack.environments:
        library = await in_thread(lambda: build_library(stack.folder.root))
        for name, shift_s in shifts_s.items():
            stack.environments[name] = {"LD_PRELOAD": str(library), "CHAOS_CLOCK_SHIFT_S": str(shift_s)}
            if name in stack.running:
                await stack.end(name, signal.SIGKILL)
        await asyncio.gather(*(stack.start(name) for name in shifts_s))
    stage.note(f"clocks are wrong by {dict(shifts_s)}")


def build_library(folder: Path) -> Path:
    """The library that shifts a process's clock, compiled here; raises LaunchError when it cannot be compiled."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if sys.platform != "linux" or compiler is None:
        raise LaunchError("shifting a process's clock needs Linux and a C compiler (cc)")
    library = folder / "clock_shift.so"
    if library.exists():
        return library
    source = folder / "clock_shift.c"
    source.write_bytes(resources.files("broadsheet_local.chaos").joinpath("clock_shift.c").read_bytes())
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    done = subprocess.run(command, check=False, capture_output=True, timeout=COMPILE_TIMEOUT_S)  # noqa: S603
    if done.returncode != 0:
        raise LaunchError(f"clock_shift.c does not compile: {done.stderr.decode(errors='replace')}")
    return library
