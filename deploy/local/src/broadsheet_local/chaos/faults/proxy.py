"""A proxy between us and Postmark answers in its place. The sandbox's log shows what was accepted, not the answer."""

import asyncio

from broadsheet_local.chaos.faults.provider import RELIABLE_LATENCY_MS, healed
from broadsheet_local.chaos.shortened import CHUNK
from broadsheet_local.chaos.stack import StackOptions
from broadsheet_local.chaos.stage import Campaign, Stage
from broadsheet_local.chaos.stand_ins.answering_proxy import PAGE, AnsweringProxy, OwnAnswer

BEHIND_A_PROXY = StackOptions(provider_proxy=True)
STATUSES = (201, 202, 204, 302, 400, 403, 404, 409, 413, 418, 451, 499, 502)
PAGES = (b"", PAGE)


async def proxy_answers(stage: Stage) -> None:
    """A proxy answers some of the calls, or all for a while, after Postmark accepted them or instead of it.

    Sometimes it answers searches as well, and sometimes a person pauses and resumes in the middle.
    """
    proxy = stage.stack.provider_proxy
    answers = tuple(
        OwnAnswer(status, stage.random.choice(PAGES))
        for status in stage.random.sample(STATUSES, stage.random.randint(1, 3))
    )
    all_of_them = stage.chance(0.5)
    forwards = stage.chance(0.75)
    reading = stage.random.choice([0.0, 0.0, 0.5, 1.0])
    await stage.slow_calls(**RELIABLE_LATENCY_MS)
    campaign = await stage.publish(stage.random.randint(800, 1300))
    await stage.moment(campaign, high=0.3)
    for_s = stage.random.uniform(3.0, 7.0)
    proxy.answer(
        *answers,
        sending=1.0 if all_of_them else stage.random.uniform(0.2, 0.5),
        reading=reading,
        forwards=forwards,
        seed=stage.seed,
    )
    said = ", ".join(f"{one.status} {'HTML' if one.page else 'none'}" for one in answers)
    stage.note(f"a proxy answers {said}; all: {all_of_them}, forwards: {forwards}, of the reads: {reading}")
    try:
        await asyncio.sleep(for_s / 2)
        resumed = stage.chance(0.5)
        if resumed:
            await _pause_and_resume(stage, campaign)
        await asyncio.sleep(for_s / 2)
        # A person who resumes closes the breaker, so more calls are made.
        _judge_the_answers(stage, campaign, proxy, breaker=all_of_them and not resumed)
    finally:
        proxy.pass_on()
    stage.note(f"the proxy passes on again, after {proxy.answered} answers of its own")
    await healed(stage, campaign)


def _judge_the_answers(stage: Stage, campaign: Campaign, proxy: AnsweringProxy, *, breaker: bool) -> None:
    stage.expect(proxy.answered, "the proxy answered nothing")
    chunks = len(campaign.readers.addresses) // CHUNK
    if breaker:
        stage.expect(
            proxy.answered <= chunks * 2 / 3,
            f"no breaker: {proxy.answered} calls were answered by the proxy, for an issue of {chunks} chunks",
        )
    seen = campaign.last
    stage.expect(seen is not None and seen.counts.failed == 0, f"deliveries were marked failed: {seen}")
    stage.expect(seen is not None and seen.status != "paused", f"a page that is not Postmark's paused it: {seen}")


async def _pause_and_resume(stage: Stage, campaign: Campaign) -> None:
    """As an operator might do. Uncertain deliveries must not be sent again because of it."""
    path = f"/api/v1/issues/{campaign.issue_id}"
    await stage.insist("POST", f"{path}/pause", json={"reason": "Answers are odd."}, key=f"pause-{stage.slug()}")
    await stage.pause_s(0.3, 1.0)
    await stage.insist("POST", f"{path}/resume", key=f"go-on-{stage.slug()}")
    await stage.insist("POST", "/api/v1/senders/resume", key=f"resume-{stage.slug()}")
    stage.note("a person paused the issue and resumed it, and sending")
