"""Processes that die, or that are stopped and come back."""

import asyncio
import signal
import time

from broadsheet_local.chaos.api import Answer
from broadsheet_local.chaos.people_at_work import signing_up
from broadsheet_local.chaos.shortened import CALL_TIMEOUT_S, FLOOR_S, LEASE_S
from broadsheet_local.chaos.stack import StackOptions
from broadsheet_local.chaos.stage import HTML, Stage

RECOVERY_MAX_S = LEASE_S + 10.0
RESTART_MAX_S = 5.0
RECONCILE_MAX_S = 60.0
SLOW_PROVIDER = StackOptions(provider_linked=True, settings={"FAN_OUT_PAGE_ROWS": "500"})


async def kill_a_sender(stage: Stage) -> None:
    """`kill -9` of a delivery process at a seeded moment; in half of the cases it comes back."""
    await stage.slow_calls(high_ms=350)
    campaign = await stage.publish(stage.random.randint(800, 1200))
    await stage.moment(campaign)
    victim = stage.random.choice(stage.stack.replicas)
    stage.stack.send_signal(victim, signal.SIGKILL)
    stage.note(f"killed {victim}")
    began = time.monotonic()
    if stage.chance(0.5):
        await stage.pause_s(0.0, 2.0)
        await stage.stack.start(victim)
        stage.note(f"{victim} is back")
    settled = await stage.settled(campaign)
    seconds = None if settled is None else max(0.0, campaign.status_since_s - began)
    stage.recovered(seconds, within_s=RECOVERY_MAX_S, what="from the kill, everything was settled")


async def kill_all_senders(stage: Stage) -> None:
    """Every replica dies while it has its maximum of calls under way; they come back together."""
    await stage.slow_calls(low_ms=400, high_ms=900)
    campaign = await stage.publish(stage.random.randint(800, 1200))
    await stage.moment(campaign)
    victims = stage.stack.replicas
    for victim in victims:
        stage.stack.send_signal(victim, signal.SIGKILL)
    stage.note(f"killed {', '.join(victims)}")
    await stage.pause_s(0.0, 3.0)
    await asyncio.gather(*(stage.stack.start(victim) for victim in victims))
    began = time.monotonic()
    await stage.sandbox.clear_faults()
    settled = await stage.settled(campaign)
    seconds = None if settled is None else max(0.0, campaign.status_since_s - began)
    stage.recovered(seconds, within_s=RECOVERY_MAX_S, what="from their return, everything was settled")


async def stop_a_sender(stage: Stage) -> None:
    """SIGSTOP past the lease, then SIGCONT: the others finish, and the process that wakes sends nothing more."""
    await stage.slow_calls(high_ms=350)
    campaign = await stage.publish(stage.random.randint(800, 1200))
    await stage.moment(campaign)
    victim = stage.random.choice(stage.stack.replicas)
    stage.stack.send_signal(victim, signal.SIGSTOP)
    stage.note(f"stopped {victim}")
    began = time.monotonic()
    settling = asyncio.create_task(stage.settled(campaign))
    stopped_s = LEASE_S + stage.random.uniform(0.2, 8.0)
    await asyncio.sleep(stopped_s)
    messages = await stage.sandbox.messages()
    was_settled = settling.done()
    stage.stack.send_signal(victim, signal.SIGCONT)
    stage.note(f"{victim} goes on after {stopped_s:.1f} s")
    settled = await settling
    stage.recovered(settled, within_s=RECOVERY_MAX_S, what="from the stop, everything was settled")
    # Whatever the woken process had begun would be in the log by the end of a call's time.
    await asyncio.sleep(max(0.0, CALL_TIMEOUT_S + 0.5 - (time.monotonic() - began - stopped_s)))
    if was_settled:
        more = await stage.sandbox.messages() - messages
        stage.expect(more == 0, f"the woken process sent {more} mails after everything was settled")


async def stop_a_sender_before_a_slow_provider(stage: Stage) -> None:
    """A sender is stopped while its requests wait in buffers: in the kernel's, and larger ones in its own too.

    The others take over its mails. Then the provider reads on, before or after the process does, and must accept
    nothing of what those buffers hold.
    """
    await stage.slow_calls(low_ms=50, high_ms=250)
    victim = stage.random.choice(stage.stack.replicas)
    link = stage.stack.provider_links[victim]
    link.sever()  # a kept connection would have a large buffer
    link.read_slowly(stage.random.randint(5_000, 20_000))
    taken_bytes = link.taken_bytes
    padding = f"<!-- {'x' * stage.random.choice([0, 500, 2_000, 5_000])} -->"
    campaign = await stage.publish(500 * stage.random.randint(3, 5), html=HTML + padding)

    async def is_writing() -> bool:
        await asyncio.sleep(0)
        return link.taken_bytes > taken_bytes + 3_000

    await stage.until(is_writing, within_s=30.0, what=f"{victim} was writing a request")
    await stage.pause_s(0.1, 1.0)
    stage.stack.send_signal(victim, signal.SIGSTOP)
    stage.note(f"stopped {victim} with {len(padding)} bytes more in each mail")
    began = time.monotonic()
    settled = await stage.settled(campaign)
    stage.recovered(
        None if settled is None else time.monotonic() - began,
        within_s=RECONCILE_MAX_S,
        what="from the stop, everything was settled",
    )
    messages = await stage.sandbox.messages()
    before = stage.chance(0.5)
    if before:
        link.heal()
        stage.note("the provider reads on")
        await asyncio.sleep(2.0)
    stage.stack.send_signal(victim, signal.SIGCONT)
    stage.note(f"{victim} goes on")
    if not before:
        await stage.pause_s(0.0, 1.0)
        link.heal()
        stage.note("the provider reads on")
    await asyncio.sleep(CALL_TIMEOUT_S)
    more = await stage.sandbox.messages() - messages
    stage.expect(more == 0, f"{more} mails were accepted after everything was settled")


async def kill_a_service(stage: Stage) -> None:
    """`kill -9` of any service while it gets requests: everything acknowledged is there afterwards."""
    await stage.slow_calls(low_ms=50, high_ms=200)
    victim = stage.random.choice(["gateway", "subscriptions", "publishing", *stage.stack.replicas])
    readers = await stage.readers(stage.random.randint(300, 600))
    async with signing_up(stage) as visitors:
        await stage.pause_s(0.3, 1.0)
        publishing = asyncio.create_task(stage.publish(readers))
        await stage.pause_s(0.0, 0.6)
        stage.stack.send_signal(victim, signal.SIGKILL)
        stage.note(f"killed {victim}")
        await stage.pause_s(0.2, 1.5)
        await stage.stack.start(victim)
        stage.note(f"{victim} is back")
        began = time.monotonic()
        before = visitors.successes

        async def serves() -> bool:
            answer: Answer = await stage.api.request("GET", "/api/v1/issues?limit=1")
            senders: Answer = await stage.api.request("GET", "/api/v1/senders")
            return answer.succeeded and senders.succeeded and visitors.successes > before

        await stage.when(serves, within_s=RESTART_MAX_S * 4)
        stage.recovered(
            time.monotonic() - began, within_s=RESTART_MAX_S, what=f"from {victim}'s return, every service answered"
        )
        campaign = await publishing
    if await stage.settled(campaign) is None:
        stage.expect(holds=False, otherwise="the issue was not settled")


async def _answer_lost(stage: Stage) -> None:
    """Until the rule `drop` was hit. The issue's counts may not show it: the doubt may be settled between two looks."""

    async def is_lost() -> bool:
        return (await stage.sandbox.fault_hits())["drop"] > 0

    await stage.until(is_lost, within_s=30.0, what="an answer was lost")


async def kill_the_reconciler(stage: Stage) -> None:
    """Answers are lost, and the process that looks them up (or rescues their chunks) is killed while it does, again
    and again.
    """
    drop = {"kind": "drop_after", "name": "drop", "probability": 0.4, "count": 12}
    await stage.slow_calls(drop, high_ms=250)
    campaign = await stage.publish(stage.random.randint(500, 900))

    await _answer_lost(stage)
    began = time.monotonic()
    for _ in range(stage.random.randint(2, 4)):
        await stage.pause_s(0.0, FLOOR_S)
        victim = stage.random.choice(stage.stack.replicas)
        stage.stack.send_signal(victim, signal.SIGKILL)
        stage.note(f"killed {victim}")
        await stage.stack.start(victim)
    settled = await stage.settled(campaign)
    seconds = None if settled is None else max(0.0, campaign.status_since_s - began)
    stage.recovered(seconds, within_s=RECONCILE_MAX_S, what="from the first doubt, everything was settled")


async def stop_the_reconciler(stage: Stage) -> None:
    """Answers are lost, the search lags and is slow, and the processes that look them up are stopped in the middle
    of it.
    """
    lag_s = stage.random.uniform(FLOOR_S, FLOOR_S + 4.0)
    await stage.slow_calls(
        {"kind": "drop_after", "name": "drop", "probability": 0.5, "count": 10},
        {"kind": "search_lag", "name": "lag", "seconds": lag_s},
        {
            "kind": "latency", "name": "slow search", "latency_ms": 1500, "jitter_ms": 1000, "accept_first": True,
            "match": {"path": "/messages/outbound.*"},
        },
        high_ms=250,
    )  # fmt: skip
    stage.note(f"the search lags by {lag_s:.1f} s and takes up to 2.5 s")
    campaign = await stage.publish(stage.random.randint(400, 700))

    await _answer_lost(stage)
    began = time.monotonic()
    for _ in range(stage.random.randint(2, 3)):
        await stage.pause_s(FLOOR_S / 2, FLOOR_S)
        victims = [name for name in stage.stack.replicas if stage.chance(0.7)]
        for victim in victims:
            stage.stack.send_signal(victim, signal.SIGSTOP)
        stage.note(f"stopped {', '.join(victims) or 'nobody'}")
        await stage.pause_s(CALL_TIMEOUT_S, CALL_TIMEOUT_S * 2)
        for victim in victims:
            stage.stack.send_signal(victim, signal.SIGCONT)
    settled = await stage.settled(campaign)
    seconds = None if settled is None else max(0.0, campaign.status_since_s - began)
    stage.recovered(seconds, within_s=90.0, what="from the first doubt, everything was settled")
