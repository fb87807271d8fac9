"""Senders whose clock is wrong by an hour: leases and waits are the database's."""

import asyncio
import shutil
import signal
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path

from broadsheet_local.chaos.shortened import LEASE_S
from broadsheet_local.chaos.stack import StackOptions
from broadsheet_local.chaos.stage import Stage
from broadsheet_local.concurrency import in_thread
from broadsheet_local.errors import LaunchError

THREE_SENDERS = StackOptions(replicas=3)
RECOVERY_MAX_S = LEASE_S + 10.0
COMPILE_TIMEOUT_S = 60.0
SHIFTS_S = {"delivery-2": 3600, "delivery-3": -3600}


async def shifted_clocks(stage: Stage) -> None:
    """Two senders are an hour early and an hour late; the third is killed, so that they must find what it held.

    Only senders are shifted: between services an hour's difference is refused by design (identities live minutes).
    """
    await _shift(stage)
    drop = {"kind": "drop_after", "name": "drop", "probability": 0.1, "count": 3}
    await stage.slow_calls(drop, high_ms=350)
    campaign = await stage.publish(stage.random.randint(800, 1200))
    await stage.moment(campaign)
    victim = stage.random.choice(stage.stack.replicas)
    stage.stack.send_signal(victim, signal.SIGKILL)
    stage.note(f"killed {victim}")
    began = time.monotonic()
    settled = await stage.settled(campaign)
    seconds = None if settled is None else time.monotonic() - began
    stage.recovered(seconds, within_s=RECOVERY_MAX_S, what="from the kill, everything was settled")


async def _shift(stage: Stage) -> None:
    """Once for a stack: its senders keep their wrong clocks, also when they are started again."""
    stack = stage.stack
    if not stack.environments:
        library = await in_thread(lambda: build_library(stack.folder.root))
        for name, shift_s in SHIFTS_S.items():
            stack.environments[name] = {"LD_PRELOAD": str(library), "CHAOS_CLOCK_SHIFT_S": str(shift_s)}
            await stack.end(name, signal.SIGKILL)
        await asyncio.gather(*(stack.start(name) for name in SHIFTS_S))
    stage.note(f"clocks are wrong by {SHIFTS_S}")


def build_library(folder: Path) -> Path:
    """The library that shifts a process's clock, compiled here; raises LaunchError where it cannot be made."""
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
