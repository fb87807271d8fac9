"""Postgres away, out of reach, half-open, read-only; and a sender that dies while it is."""

import asyncio
import signal
import time

import psycopg

from broadsheet_local.chaos.api import IssueView
from broadsheet_local.chaos.people_at_work import Visitors, reading, signing_up
from broadsheet_local.chaos.shortened import DATABASE_TIMEOUT_S
from broadsheet_local.chaos.stage import Campaign, Stage
from broadsheet_local.supervision.concurrency import in_thread

UP_MAX_S = 10.0
REACHABLE_MAX_S = 30.0
ANSWER_MAX_S = 4 * DATABASE_TIMEOUT_S + 4.0
"""A request waits for a connection, then for an answer, in the gateway and once more in the service behind."""
UNAVAILABLE = 503


async def crash_postgres(stage: Stage) -> None:
    """`stop -m immediate` at a seeded moment, and a restart: 503 meanwhile, nothing acknowledged is lost."""
    await stage.slow_calls()
    campaign = await stage.publish(stage.random.randint(800, 1200))
    async with signing_up(stage):
        await stage.moment(campaign, high=0.4)
        await stage.stack.crash_postgres()
        stage.note("Postgres crashed")
        async with reading(stage, f"/api/v1/issues/{campaign.issue_id}") as visitors:
            await stage.pause_s(1.0, 4.0)
            await _answered_only(stage, visitors, UNAVAILABLE)
        await stage.stack.start_postgres()
        stage.note("Postgres is up")
        await goes_on(stage, campaign, within_s=UP_MAX_S)
        await is_settled(stage, campaign)


async def crash_postgres_and_kill(stage: Stage) -> None:
    """A sender is killed while Postgres restarts."""
    await stage.slow_calls(high_ms=400)
    campaign = await stage.publish(stage.random.randint(800, 1200))
    await stage.moment(campaign, high=0.4)
    victim = stage.random.choice(stage.stack.replicas)
    if stage.chance(0.5):
        stage.stack.send_signal(victim, signal.SIGKILL)
        await stage.stack.crash_postgres()
    else:
        await stage.stack.crash_postgres()
        await stage.pause_s(0.0, 1.5)
        stage.stack.send_signal(victim, signal.SIGKILL)
    stage.note(f"Postgres crashed, and {victim} was killed")
    await stage.pause_s(0.0, 2.0)
    await stage.stack.start_postgres()
    stage.note("Postgres is up")
    await goes_on(stage, campaign, within_s=UP_MAX_S)
    await stage.stack.start(victim)
    await is_settled(stage, campaign)


async def cut_off(stage: Stage) -> None:
    """The database cannot be reached (connections refused), or links are half-open: from all services or some."""
    await stage.slow_calls()
    campaign = await stage.publish(stage.random.randint(800, 1200))
    await stage.moment(campaign, high=0.4)
    links = stage.stack.links
    names = stage.random.choice([list(links), stage.stack.replicas, stage.random.sample(sorted(links), 2)])
    half_open = stage.chance(0.6)
    for name in names:
        if half_open:
            links[name].stall()
        else:
            links[name].refuse()
    stage.note(f"{'half-open' if half_open else 'refused'}: {', '.join(names)}")
    async with reading(stage, f"/api/v1/issues/{campaign.issue_id}") as visitors:
        await stage.pause_s(2.0, 12.0)
        dropped = stage.chance(0.5)
        for name in names:
            links[name].heal(drop_stalled=dropped)
        stage.note(f"reachable again; what was under way is {'lost' if dropped else 'late'}")
        await goes_on(stage, campaign, within_s=REACHABLE_MAX_S)
    stage.expect(
        visitors.slowest_s <= ANSWER_MAX_S, f"a request waited {visitors.slowest_s:.1f} s, more than {ANSWER_MAX_S:g} s"
    )
    await is_settled(stage, campaign)


async def lost_at_the_answer(stage: Stage) -> None:
    """The database goes away only while calls are under way: their answers arrive and cannot be recorded."""
    await stage.slow_calls(low_ms=1000, high_ms=1500)
    campaign = await stage.publish(stage.random.randint(300, 600))

    async def calling() -> bool:
        await asyncio.sleep(0)
        return campaign.last is not None and campaign.last.counts.in_flight > 0

    await stage.until(calling, within_s=30.0, what="a call was under way")
    await stage.pause_s(0.0, 1.0)
    half_open = stage.chance(0.5)
    for name in stage.stack.replicas:
        if half_open:
            stage.stack.links[name].stall()
        else:
            stage.stack.links[name].refuse()
    stage.note(f"the senders lost the database ({'half-open' if half_open else 'refused'})")
    await stage.pause_s(1.5, 9.0)
    for name in stage.stack.replicas:
        stage.stack.links[name].heal(drop_stalled=stage.chance(0.5))
    stage.note("reachable again")
    await goes_on(stage, campaign, within_s=REACHABLE_MAX_S)
    await is_settled(stage, campaign)


async def read_only(stage: Stage) -> None:
    """A failover to a read-only server, and back."""
    await stage.slow_calls()
    campaign = await stage.publish(stage.random.randint(800, 1200))
    await stage.moment(campaign, high=0.4)
    await in_thread(lambda: _set_read_only(stage.stack.postgres.url, read_only=True))
    stage.note("the database is read-only")
    await stage.pause_s(1.0, 8.0)
    await in_thread(lambda: _set_read_only(stage.stack.postgres.url, read_only=False))
    stage.note("the database takes writes again")
    await goes_on(stage, campaign, within_s=REACHABLE_MAX_S)
    await is_settled(stage, campaign)


async def goes_on(stage: Stage, campaign: Campaign, *, within_s: float) -> None:
    """Measured from now until the API answers about the issue, and its sending makes progress or has ended."""
    began = time.monotonic()
    count = await stage.sandbox.messages()

    async def moves() -> bool:
        seen = await stage.api.issue(campaign.issue_id)
        if not isinstance(seen, IssueView):
            return False
        return seen.status == campaign.expected.ends_as or await stage.sandbox.messages() > count

    found = await stage.when(moves, within_s=max(60.0, within_s))
    seconds = None if found is None else time.monotonic() - began
    stage.recovered(seconds, within_s=within_s, what="from the healing, requests and sending went on")


async def is_settled(stage: Stage, campaign: Campaign) -> None:
    if await stage.settled(campaign) is None:
        stage.expect(holds=False, otherwise="the issue was not settled")


async def _answered_only(stage: Stage, visitors: Visitors, status: int) -> None:
    """Requests in an outage get this status. The very first may have been answered before the crash."""
    others = {got: count for got, count in visitors.answers.items() if got != status}
    stage.expect(visitors.answers[status], f"nothing was answered {status} while the database was away")
    stage.expect(not others, f"while the database was away requests were answered {others}, not only {status}")


def _set_read_only(url: str, *, read_only: bool) -> None:
    with psycopg.connect(
        url, autocommit=True, connect_timeout=10, options="-c default_transaction_read_only=off"
    ) as connection:
        if read_only:
            connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        else:
            connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
        connection.execute("SELECT pg_reload_conf()")
