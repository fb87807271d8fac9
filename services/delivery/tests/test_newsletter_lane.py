"""The newsletter lane on real Postgres and the strict sandbox: the oracle is what the sandbox accepted."""

import asyncio
from collections import Counter

import httpx
from broadsheet_postmark_sandbox.testing import RunningSandbox

from harness.cluster import Database
from harness.delivering import Delivering, delivering
from harness.seeding import Seed


async def captured(sandbox: RunningSandbox) -> list[dict[str, object]]:
    """Every message that the sandbox accepted."""
    async with httpx.AsyncClient(base_url=sandbox.base_url) as client:
        response = await client.get("/_sandbox/messages", params={"limit": 1000})
        response.raise_for_status()
        messages: list[dict[str, object]] = response.json()["messages"]
        return messages


async def sends_by_recipient(sandbox: RunningSandbox) -> Counter[str]:
    return Counter(str(message["To"]) for message in await captured(sandbox))


async def test_every_confirmed_subscriber_gets_the_issue_once(
    seed: Seed, delivery: Delivering, sandbox: RunningSandbox
) -> None:
    issue_id = seed.published_issue(seed.subscribers(1203))
    await delivery.send_all_due()
    progress = seed.progress(issue_id)
    assert (progress.state, progress.audience, progress.accepted) == ("finished", 1203, 1203)
    assert progress.adds_up
    print((await captured(sandbox))[0])


async def test_two_workers_never_hold_the_same_row(database: Database, seed: Seed, sandbox: RunningSandbox) -> None:
    issue_id = seed.published_issue(seed.subscribers(900))
    async with (
        delivering(database, sandbox.base_url, sandbox.token) as first,
        delivering(database, sandbox.base_url, sandbox.token) as second,
    ):
        claims = await asyncio.gather(first.claim(), second.claim(), first.claim(), second.claim())
        held = [r.seq for claim in claims if claim is not None for r in claim.recipients]
        assert sorted(held) == list(range(1, 901))
    assert seed.progress(issue_id).in_flight == 900
