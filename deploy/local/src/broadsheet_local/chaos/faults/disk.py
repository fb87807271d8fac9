"""The disks of the database and of the logs are full for a while."""

import asyncio
import time

import httpx

from broadsheet_local.chaos.api import FAULT_MIN, IssueView
from broadsheet_local.chaos.faults.database import is_settled
from broadsheet_local.chaos.people_at_work import Visitors, signing_up
from broadsheet_local.chaos.stack import StackOptions
from broadsheet_local.chaos.stage import Stage

SMALL_DISK = StackOptions(small_disk_mb=224, small_log_disk_mb=8)
LOST = "log_lines_lost_total"
SPACE_MAX_S = 60.0
UNAVAILABLE = 503


async def disk_full(stage: Stage) -> None:
    """Writes are refused with 503, and everything resumes once there is space; Postgres may have had to be
    restarted.

    The services' logs are on a full disk too: reporting a fault must not cause another.
    """
    stack = stage.stack
    disk = stack.disk
    assert disk is not None
    stage.remark = f"disk filled by: {disk.way}"
    await stage.slow_calls(low_ms=500, high_ms=800)
    campaign = await stage.publish(stage.random.randint(1000, 1300))
    async with signing_up(stage) as visitors:
        await stage.moment(campaign, high=0.2)
        stack.fill_disks()
        stage.note("the disks are full")
        await _refused(stage, visitors)
        await stage.pause_s(0.0, 3.0)
        lost = await _lost_lines(stage)
        stage.expect(sum(lost.values()) > 0, f"no line was lost on the full disk of the logs: {lost}")
        stack.make_room()
        began = time.monotonic()
        ended = stack.postgres.child.exit_code() is not None
        stage.note(f"there is space again; Postgres {'had stopped and is started' if ended else 'still runs'}")
        if ended:
            await stack.start_postgres()
        successes = visitors.successes
        count = await stage.sandbox.messages()

        async def goes_on() -> bool:
            seen = await stage.api.issue(campaign.issue_id)
            if not isinstance(seen, IssueView) or visitors.successes <= successes:
                return False
            return seen.status == "sent" or await stage.sandbox.messages() > count

        found = await stage.when(goes_on, within_s=SPACE_MAX_S * 1.5)
        seconds = None if found is None else time.monotonic() - began
        stage.recovered(seconds, within_s=SPACE_MAX_S, what="from the return of space, writes and sending went on")
        await is_settled(stage, campaign)


async def _lost_lines(stage: Stage) -> dict[str, float]:
    """By process: log lines that could not be written. The gateway's metrics need a token, and are left out."""
    lost = {}
    async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
        for name, one in stage.stack.running.items():
            if one.service != "gateway":
                text = (await client.get(f"http://127.0.0.1:{one.port}/metrics")).text
                lost[name] = sum(float(line.split()[1]) for line in text.splitlines() if line.startswith(LOST + " "))
    return lost


async def _refused(stage: Stage, visitors: Visitors) -> None:
    """Write until the first write is refused: writes that fit into existing files still succeed."""
    before = sum(count for status, count in visitors.answers.items() if status is not None and status >= FAULT_MIN)

    async def refused() -> bool:
        await asyncio.sleep(0)
        now = sum(count for status, count in visitors.answers.items() if status is not None and status >= FAULT_MIN)
        return now > before

    seconds = await stage.when(refused, within_s=20.0)
    if seconds is None:
        stage.note("no write was refused: the writes fitted into space that Postgres had allocated before")
    others = [
        status for status in visitors.answers if status is not None and status >= FAULT_MIN and status != UNAVAILABLE
    ]
    stage.expect(not others, f"writes on a full disk were answered {others}, not 503")
