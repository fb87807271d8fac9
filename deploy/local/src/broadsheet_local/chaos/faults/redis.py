"""Redis is killed, or loses all its data."""

import asyncio
import time

from redis.asyncio import Redis

from broadsheet_local.chaos.faults.database import is_settled
from broadsheet_local.chaos.people_at_work import reading
from broadsheet_local.chaos.stage import Stage
from broadsheet_local.demo.people import Gateway
from broadsheet_local.errors import LaunchError

BACK_MAX_S = 5.0
SEE_OTHER = 303


async def redis_lost(stage: Stage) -> None:
    """No mail is lost or doubled; sessions end; the API goes on under local caps; logging in works again soon."""
    await stage.slow_calls(high_ms=300)
    campaign = await stage.publish(stage.random.randint(800, 1200))
    browser = Gateway(stage.api.url, stage.stack.credentials.api_key)
    try:
        await browser.log_in("admin", stage.stack.credentials.author_password_file.read_text())
        await stage.moment(campaign, high=0.4)
        killed = stage.chance(0.5)
        async with reading(stage, f"/api/v1/issues/{campaign.issue_id}") as visitors:
            if killed:
                await stage.stack.kill_redis()
                stage.note("killed Redis")
                await stage.pause_s(1.0, 4.0)
            elif stage.chance(0.5):
                await stage.pause_s(0.0, 1.0)
        stage.expect(not visitors.faults, f"the API failed without Redis: {'; '.join(visitors.faults[:3])}")
        if killed:
            await stage.stack.start_redis()
        client = Redis.from_url(stage.stack.redis.owner_url)
        try:
            await client.flushall()
        finally:
            await client.aclose()
        stage.note("Redis is there and empty")
        began = time.monotonic()
        stage.expect(not await _is_logged_in(browser), "a session outlived Redis's loss of it")

        async def logs_in() -> bool:
            try:
                await browser.log_in("admin", stage.stack.credentials.author_password_file.read_text())
            except LaunchError:
                return False
            return True

        found = await stage.when(logs_in, within_s=30.0)
        seconds = None if found is None else time.monotonic() - began
        stage.recovered(seconds, within_s=BACK_MAX_S, what="from Redis's return, logging in worked")
    finally:
        await browser.aclose()
    await asyncio.sleep(0)
    await is_settled(stage, campaign)


async def _is_logged_in(browser: Gateway) -> bool:
    answer = await browser.look("/admin/newsletters")
    return answer.status_code != SEE_OTHER
