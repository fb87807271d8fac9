"""What webhooks lost is fetched from Postmark, once, and has the effect that the webhook would have had."""

import asyncio
from typing import Any

import httpx

from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import Delivering, delivering
from harness.oracle import Captured, Oracle
from harness.postmark.events import tell
from harness.seeding import Seed


def happens(sandbox: RunningSandbox, **fields: Any) -> dict[str, Any]:
    """At Postmark; no webhook is set up, so nothing tells us. Answers what a webhook would have said."""
    answer = httpx.post(f"{sandbox.base_url}/_sandbox/events", json=fields)
    assert answer.is_success, answer.text
    payload: dict[str, Any] = answer.json()["payload"]
    return payload


async def sent(seed: Seed, delivery: Delivering, oracle: Oracle, count: int) -> list[Captured]:
    seed.published_issue(seed.subscribers(count))
    await delivery.send_all_due()
    return oracle.messages()


async def run(seed: Seed, delivery: Delivering) -> None:
    seed.execute("UPDATE delivery.backstop_state SET run_at = now()")
    assert await delivery.run_backstop()
    await delivery.apply_events()


def suppressions(seed: Seed) -> dict[object, tuple[object, object]]:
    rows = seed.execute("SELECT email_key, kind, active FROM delivery.suppression")
    return {row[0]: (row[1], row[2]) for row in rows}


async def test_a_lost_bounce_complaint_and_unsubscribe_are_found(
    seed: Seed, delivery: Delivering, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    first, second, third, fourth = await sent(seed, delivery, oracle, 4)
    happens(sandbox, type="Bounce", message_id=str(first.message_id))
    happens(sandbox, type="SpamComplaint", message_id=str(second.message_id))
    happens(sandbox, type="SubscriptionChange", message_id=str(third.message_id))
    happens(sandbox, type="Bounce", bounce_type="SoftBounce", message_id=str(fourth.message_id))
    await run(seed, delivery)
    assert suppressions(seed) == {
        first.to: ("hard_bounce", True),
        second.to: ("complaint", True),
        third.to: ("unsubscribe", True),
    }
    bounces = seed.execute(
        "SELECT issue_id || '-' || seq FROM delivery.provider_event WHERE record_type = 'Bounce' ORDER BY seq"
    )
    assert {row[0] for row in bounces} == {m.metadata["bs_delivery"] for m in (first, second, fourth)}
    assert seed.execute("SELECT kind FROM subscriptions.provider_change ORDER BY kind") == [
        ("complained",), ("hard_bounced",), ("unsubscribe",),
    ]  # fmt: skip


async def test_what_webhooks_told_is_not_told_again(
    seed: Seed, delivery: Delivering, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    first, second = await sent(seed, delivery, oracle, 2)
    tell(
        seed,
        happens(sandbox, type="Bounce", message_id=str(first.message_id)),
        happens(sandbox, type="SubscriptionChange", message_id=str(second.message_id)),
    )
    await delivery.apply_events()
    before = seed.execute("SELECT dedupe_key FROM delivery.provider_event ORDER BY id")
    for _ in range(2):
        await run(seed, delivery)
    assert seed.execute("SELECT dedupe_key FROM delivery.provider_event ORDER BY id") == before
    assert len(before) == 2
    assert seed.count("subscriptions.provider_change") == 2


async def test_a_webhook_that_comes_after_the_backstop_has_no_second_effect(
    seed: Seed, delivery: Delivering, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    [message] = await sent(seed, delivery, oracle, 1)
    late = happens(sandbox, type="Bounce", message_id=str(message.message_id))
    await run(seed, delivery)
    tell(seed, late)
    await delivery.apply_events()
    assert seed.count("subscriptions.provider_change") == 1
    assert seed.execute("SELECT source FROM delivery.provider_event") == [("backstop",)]


async def test_a_lost_lift_is_found_by_what_the_dump_shows_no_longer(
    seed: Seed, delivery: Delivering, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    bounced, complained, manual = await sent(seed, delivery, oracle, 3)
    tell(
        seed,
        happens(sandbox, type="Bounce", message_id=str(bounced.message_id)),
        happens(sandbox, type="SpamComplaint", message_id=str(complained.message_id), apply=False),
    )
    await delivery.apply_events()
    seed.execute(
        "INSERT INTO delivery.suppression (message_stream, email_key, kind, reason, source, origin) "
        "VALUES ('broadcast', %s, 'manual', 'By hand', 'operator', 'operator')",
        (manual.to,),
    )
    happens(sandbox, type="SubscriptionChange", message_id=str(bounced.message_id), suppress_sending=False)
    await run(seed, delivery)
    assert suppressions(seed)[bounced.to] == ("hard_bounce", True)  # too new: the dump may lag
    seed.execute("UPDATE delivery.suppression SET changed_at = changed_at - interval '1 hour'")
    await run(seed, delivery)
    assert suppressions(seed) == {
        bounced.to: ("hard_bounce", False),
        complained.to: ("complaint", True),
        manual.to: ("manual", True),
    }
    # Who lifted it is not known, so it brings nobody back to a newsletter.
    assert ("resubscribe",) not in seed.execute("SELECT kind FROM subscriptions.provider_change")


async def test_one_replica_runs_at_a_time_and_the_next_run_is_an_interval_away(
    database: Database, seed: Seed, delivery: Delivering, sandbox: RunningSandbox
) -> None:
    async with delivering(database, sandbox.base_url, sandbox.token) as second:
        ran = await asyncio.gather(*(one.run_backstop() for one in (delivery, second, delivery, second)))
    assert sorted(ran) == [False, False, False, True]
    assert not await delivery.run_backstop()
    assert seed.execute(
        "SELECT run_at BETWEEN now() + interval '40 minutes' AND now() + interval '80 minutes', "
        "finished_at IS NOT NULL "
        "FROM delivery.backstop_state"
    ) == [(True, True)]


async def test_a_run_that_died_is_taken_over_when_its_lease_ends(seed: Seed, delivery: Delivering) -> None:
    seed.execute(
        "INSERT INTO delivery.backstop_state (lease_token, lease_until) "
        "VALUES (gen_random_uuid(), now() + interval '1 minute')"
    )
    assert not await delivery.run_backstop()
    seed.execute("UPDATE delivery.backstop_state SET lease_until = now() - interval '1 s'")
    assert await delivery.run_backstop()


async def test_while_postmark_is_away_nothing_is_lifted_and_the_run_comes_again_soon(
    seed: Seed, delivery: Delivering, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    [message] = await sent(seed, delivery, oracle, 1)
    tell(seed, happens(sandbox, type="Bounce", message_id=str(message.message_id), apply=False))
    await delivery.apply_events()
    seed.execute("UPDATE delivery.suppression SET changed_at = changed_at - interval '1 hour'")
    oracle.fault({"kind": "status", "status": 503, "error_code": 100, "match": {"path": ".*suppressions/dump"}})
    await run(seed, delivery)
    assert suppressions(seed) == {message.to: ("hard_bounce", True)}
    assert seed.execute(
        "SELECT run_at < now() + interval '6 minutes', finished_at, bounces_read_to FROM delivery.backstop_state"
    ) == [(True, None, None)]


async def test_a_dump_beyond_its_bound_is_not_half_believed(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    async with delivering(database, sandbox.base_url, sandbox.token, delivery_backstop_dump_bytes_max=20) as bounded:
        [message] = await sent(seed, bounded, oracle, 1)
        tell(seed, happens(sandbox, type="Bounce", message_id=str(message.message_id)))
        await bounded.apply_events()
        seed.execute("UPDATE delivery.suppression SET changed_at = changed_at - interval '1 hour'")
        await run(seed, bounded)
    assert suppressions(seed) == {message.to: ("hard_bounce", True)}
