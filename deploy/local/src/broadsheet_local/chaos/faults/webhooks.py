"""Postmark's events come many times, at once and in the wrong order."""

import asyncio
from collections import Counter
from typing import Any

from broadsheet_local.chaos.faults.database import is_settled
from broadsheet_local.chaos.stack import StackOptions
from broadsheet_local.chaos.stage import Campaign, Stage
from broadsheet_local.chaos.verdict import Ending

WITH_WEBHOOKS = StackOptions(webhooks=True)
REPEATS = 46
TAKEN_MAX_S = 60.0
APPLIED_MAX_S = 30.0
SUPPRESSING: tuple[dict[str, object], ...] = (
    {"type": "Bounce", "bounce_type": "HardBounce"},
    {"type": "SpamComplaint"},
)


async def many_and_disordered(stage: Stage) -> None:
    """A Bounce or a complaint 46 times at once, and a Delivery after it: one effect, and the address stays
    suppressed.

    The sandbox is told not to suppress the addresses itself: only our own handling of the events keeps mail from
    them.
    """
    readers = await stage.readers(stage.random.randint(100, 200))
    first = await stage.publish(readers)
    await is_settled(stage, first)
    unlucky = stage.random.sample(sorted(readers.addresses), 4)
    events = {email: stage.random.choice(SUPPRESSING) for email in unlucky}
    for email, event in events.items():
        told: list[dict[str, object]] = [event, {"type": "Delivery"}]
        if stage.chance(0.5):
            await asyncio.gather(*(_tell(stage, email, one) for one in told))
        else:
            for one in told:
                await _tell(stage, email, one)
    stage.note(f"told {REPEATS} times each: {events}, and a Delivery of each")

    async def taken() -> bool:
        return int((await stage.sandbox.webhooks())["pending"]) == 0

    await stage.until(taken, within_s=TAKEN_MAX_S, what="every webhook was accepted")
    counts: dict[str, Any] = (await stage.sandbox.webhooks())["counts"]
    stage.expect(not counts["refused"] and not counts["given_up"], f"webhooks were refused: {counts}")
    ids = await _delivery_ids(stage, first)
    for email, event in events.items():
        await _one_effect(stage, ids[email], str(event["type"]))
    second = await stage.publish(readers)
    bounced: dict[str, Ending] = {email: "suppressed" for email in unlucky if events[email]["type"] == "Bounce"}
    second.expect_final(bounced)
    # A complaint ends the subscription as well, a little later: before the publish call or after it.
    second.expect_gone(frozenset(unlucky) - bounced.keys())
    await is_settled(stage, second)


async def _tell(stage: Stage, email: str, event: dict[str, object]) -> None:
    await stage.sandbox.event(**event, recipient=email, repeat=REPEATS, apply=False)


async def _one_effect(stage: Stage, delivery_id: str, kind: str) -> None:
    """The delivery's timeline shows each event once, however often it came."""
    seen: Counter[str] = Counter()

    async def shown() -> bool:
        answer = await stage.api.request("GET", f"/api/v1/deliveries/{delivery_id}")
        seen.clear()
        if answer.succeeded:
            seen.update(str(event["record_type"]) for event in answer.json()["events"])
        return bool(seen[kind] and seen["Delivery"])

    await stage.until(shown, within_s=APPLIED_MAX_S, what=f"the timeline of {delivery_id} shows {kind} and Delivery")
    stage.expect(seen[kind] == seen["Delivery"] == 1, f"the timeline of {delivery_id} shows {dict(seen)}")


async def _delivery_ids(stage: Stage, campaign: Campaign) -> dict[str, str]:
    """By the metadata that our mails carry."""
    found: dict[str, str] = {}
    async for one in stage.sandbox.accepted(after=campaign.after):
        if one.message.subject == campaign.title and one.message.metadata:
            found[one.recipients[0]] = one.message.metadata["bs_delivery"]
    return found
