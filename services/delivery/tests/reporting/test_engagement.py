"""Who received, opened and clicked, rolled up into bits in the background."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from broadsheet_delivery.events.apply_events import apply_provider_events
from broadsheet_delivery.reporting import roll_up_engagement as module
from broadsheet_delivery.reporting.roll_up_engagement import roll_up_engagement
from broadsheet_delivery.settling.finish_issues import finish_issues
from harness.delivering import Delivering
from harness.oracle import Oracle
from harness.postmark.events import event, tell
from harness.seeding import Seed

BLOCK = 8_192


def _members(seed: Seed, table: str, key: str, value: object, event: str) -> set[int]:
    """Subscriber ids whose bits are set."""
    rows = seed.execute(
        f"SELECT block, members::text FROM delivery.{table} WHERE {key} = %s AND event = %s", (value, event)
    )
    return {
        int(str(block)) * BLOCK + position
        for block, bits in rows
        for position, bit in enumerate(str(bits))
        if bit == "1"
    }


def _of_issue(seed: Seed, issue_id: int, event: str) -> set[int]:
    return _members(seed, "issue_engagement", "issue_id", issue_id, event)


def _today(seed: Seed, event: str) -> set[int]:
    return _members(seed, "daily_engagement", "day", datetime.now(UTC).date(), event)


def _record(seed: Seed, record_type: str, issue_id: int, seqs: list[int], *, at: datetime | None = None) -> None:
    """As the apply step records events of ours."""
    seed.execute(
        "INSERT INTO delivery.provider_event (record_type, issue_id, seq, source, occurred_at, received_at, "
        "dedupe_key, detail) SELECT %s, %s, seq, 'webhook', %s, now(), gen_random_uuid(), '{}' "
        "FROM unnest(%s::int[]) AS seq",
        (record_type, issue_id, at or datetime.now(UTC), seqs),
    )


async def _send_all(delivery: Delivering) -> None:
    for _ in range(100):
        if not await delivery.send_one_chunk():
            return
    raise AssertionError("it does not come to an end")


async def _roll(delivery: Delivering) -> None:
    for _ in range(100):
        if await roll_up_engagement(delivery.context) == 0:
            return
    raise AssertionError("it does not come to an end")


async def test_who_was_accepted_has_received_it_and_nobody_else(delivery: Delivering, seed: Seed) -> None:
    seed.execute("SELECT setval('subscriptions.subscriber_id_seq', 8180)")
    people = seed.subscribers(30)
    seed.leave(people[3])
    issue_id = seed.published_issue(people)
    await _send_all(delivery)
    await finish_issues(delivery.context)
    await _roll(delivery)
    expected = set(people) - {people[3]}
    assert len({subscriber_id // BLOCK for subscriber_id in expected}) == 2, "over the edge of a block"
    assert _of_issue(seed, issue_id, "received") == expected == _today(seed, "received")


async def test_chunks_that_are_done_count_while_the_issue_is_under_way(delivery: Delivering, seed: Seed) -> None:
    people = seed.subscribers(1_200)
    issue_id = seed.published_issue(people)
    await delivery.send_one_chunk()
    await _roll(delivery)
    assert _of_issue(seed, issue_id, "received") == set(people[:500])
    await _send_all(delivery)
    await _roll(delivery)
    assert _of_issue(seed, issue_id, "received") == set(people)
    await finish_issues(delivery.context)
    await _roll(delivery)
    assert _of_issue(seed, issue_id, "received") == set(people)
    assert await roll_up_engagement(delivery.context) == 0, "an issue that is rolled up is left alone"


async def test_what_was_settled_after_its_chunk_is_found_when_the_issue_has_ended(
    delivery: Delivering, seed: Seed
) -> None:
    people = seed.subscribers(3)
    issue_id = seed.published_issue(people)
    await _send_all(delivery)
    await _roll(delivery)
    # As if one of them had been settled in the single-mail lane meanwhile.
    seed.execute("DELETE FROM delivery.issue_engagement")
    await finish_issues(delivery.context)
    await _roll(delivery)
    assert _of_issue(seed, issue_id, "received") == set(people)


async def test_an_issue_that_ends_again_is_looked_through_again(delivery: Delivering, seed: Seed) -> None:
    people = seed.subscribers(3)
    issue_id = seed.published_issue(people)
    await _send_all(delivery)
    await finish_issues(delivery.context)
    seed.execute("UPDATE delivery.delivery_outcome SET outcome = 'failed', reason = 'x' WHERE seq = 2")
    await _roll(delivery)
    assert _of_issue(seed, issue_id, "received") == {people[0], people[2]}
    seed.execute("UPDATE delivery.delivery_outcome SET outcome = 'accepted' WHERE seq = 2")
    seed.execute("UPDATE delivery.issue_run SET finished_at = finished_at + interval '1 s'")
    await _roll(delivery)
    assert _of_issue(seed, issue_id, "received") == set(people)


async def test_a_large_issue_is_looked_through_in_steps(
    delivery: Delivering, seed: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = seed.subscribers(25)
    issue_id = seed.published_issue(people)
    await _send_all(delivery)
    await finish_issues(delivery.context)
    monkeypatch.setattr(module, "DELIVERIES_A_STEP", 10)
    monkeypatch.setattr(module, "STEPS_A_ROUND_MAX", 1)
    await _roll(delivery)
    await _roll(delivery)
    assert _of_issue(seed, issue_id, "received") == set(people)


async def test_opens_and_clicks_are_queued_with_the_event_and_rolled_up_once(delivery: Delivering, seed: Seed) -> None:
    people = seed.subscribers(5)
    issue_id = seed.published_issue(people)
    earlier = datetime.now(UTC) - timedelta(days=3)
    _record(seed, "Open", issue_id, [1, 2, 2, 3])
    _record(seed, "Open", issue_id, [4], at=earlier)
    _record(seed, "Click", issue_id, [2])
    _record(seed, "Bounce", issue_id, [5])
    assert seed.count("delivery.engagement_queue") == 6
    await asyncio.gather(*(roll_up_engagement(delivery.context) for _ in range(3)))
    await _roll(delivery)
    assert seed.count("delivery.engagement_queue") == 0
    assert _of_issue(seed, issue_id, "opened") == set(people[:4])
    assert _today(seed, "opened") == set(people[:3])
    assert _members(seed, "daily_engagement", "day", earlier.date(), "opened") == {people[3]}
    assert _of_issue(seed, issue_id, "clicked") == {people[1]} == _today(seed, "clicked")


async def test_an_open_that_postmark_tells_of_is_rolled_up(delivery: Delivering, seed: Seed, oracle: Oracle) -> None:
    people = seed.subscribers(2)
    issue_id = seed.published_issue(people)
    await _send_all(delivery)
    message = next(one for one in oracle.messages() if one.to == "reader-2@example.com")
    tell(seed, event("Open", message))
    assert await apply_provider_events(delivery.context) == 1
    await _roll(delivery)
    assert _of_issue(seed, issue_id, "opened") == {people[1]}


async def test_days_that_no_filter_looks_back_to_are_removed(delivery: Delivering, seed: Seed) -> None:
    people = seed.subscribers(1)
    issue_id = seed.published_issue(people)
    _record(seed, "Open", issue_id, [1], at=datetime.now(UTC) - timedelta(days=401))
    await _roll(delivery)
    assert seed.count("delivery.daily_engagement") == 0
    assert _of_issue(seed, issue_id, "opened") == set(people)
