"""What is old goes, in bounded rounds and without waiting for locks; counts stay, and nothing live is touched."""

import asyncio
import itertools

import httpx
import psycopg
import pytest
import sqlalchemy as sa

from broadsheet_delivery.retention import remove_old, store
from harness.cluster import Database
from harness.delivering import Delivering
from harness.oracle import Oracle
from harness.postmark.events import came_back, event, hard_bounce, left, tell
from harness.queue.queue_time import age_attempts, age_issue, make_due
from harness.seeding import Progress, Seed

WORK = ["delivery.delivery_chunk", "delivery.send_attempt", "delivery.send_attempt_end", "delivery.single_mail"]
ALL = [*WORK, "delivery.delivery", "delivery.delivery_outcome", "delivery.outcome_history"]


async def a_finished_issue(seed: Seed, delivery: Delivering, oracle: Oracle, *, own_partitions: bool = False) -> int:
    """520 accepted, one suppressed, one alone and accepted, one failed, one excluded."""
    readers = seed.subscribers(524, prefix=f"old{seed.count('delivery.issue_run')}")
    first = seed.execute("SELECT email FROM subscriptions.subscriber WHERE id = ANY (%s) ORDER BY id", (readers,))
    emails = [str(row[0]) for row in first]
    seed.leave(readers[0])
    issue_id = seed.published_issue(readers, own_partitions=own_partitions)
    oracle.fault(
        {"kind": "item_errors", "error_code": 406, "recipients": [emails[1]]},
        {"kind": "item_errors", "error_code": 429, "recipients": [emails[2]], "count": 1},
        {"kind": "item_errors", "error_code": 411, "recipients": [emails[3]]},
    )
    await delivery.send_all_due()
    make_due(seed)
    await delivery.send_all_due()
    oracle.heal()
    assert seed.progress(issue_id).state == "finished"
    assert seed.progress(issue_id).counts == {"accepted": 521, "suppressed": 1, "failed": 1, "excluded": 1}
    return issue_id


def rows(seed: Seed, tables: list[str]) -> dict[str, int]:
    return {table: count for table in tables if (count := seed.count(table))}


async def until_nothing_goes(delivery: Delivering) -> None:
    for _ in range(50):
        if await delivery.retain() == 0:
            return
    raise AssertionError("it never ended")


async def test_working_rows_go_after_their_days_and_counts_and_outcomes_stay(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = await a_finished_issue(seed, delivery, oracle)
    before = seed.progress(issue_id)
    age_issue(seed, issue_id, days=29)
    await until_nothing_goes(delivery)
    assert set(rows(seed, WORK)) == set(WORK)
    age_issue(seed, issue_id, days=31)
    await until_nothing_goes(delivery)
    assert rows(seed, WORK) == {}
    assert seed.progress(issue_id) == before
    assert len(seed.outcomes(issue_id)) == 524
    page = (await operator.get(f"/api/v1/issues/{issue_id}/deliveries", params={"status": "failed"})).json()
    assert [item["status"] for item in page["items"]] == ["failed"]
    shown = (await operator.get(f"/api/v1/deliveries/{issue_id}-9")).json()
    assert (shown["status"], shown["attempts"]) == ("accepted", [])
    answer = await operator.post(f"/api/v1/issues/{issue_id}/retry-failed")
    assert (answer.status_code, answer.json()["type"]) == (410, "urn:broadsheet:problem:removed")


@pytest.mark.parametrize("own_partitions", [False, True])
async def test_outcomes_go_after_their_days_and_counts_stay_for_ever(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient, own_partitions: bool
) -> None:
    issue_id = await a_finished_issue(seed, delivery, oracle, own_partitions=own_partitions)
    before = seed.progress(issue_id)
    age_issue(seed, issue_id, days=364)
    await until_nothing_goes(delivery)
    assert len(seed.outcomes(issue_id)) == 524
    age_issue(seed, issue_id, days=366)
    await until_nothing_goes(delivery)
    assert rows(seed, ALL) == {}
    assert seed.progress(issue_id) == before
    assert partitions(seed) == []
    for path in (f"issues/{issue_id}/deliveries", f"deliveries/{issue_id}-1"):
        answer = await operator.get(f"/api/v1/{path}")
        assert (answer.status_code, answer.json()["type"]) == (410, "urn:broadsheet:problem:removed")
    assert (await operator.get(f"/api/v1/issues/{issue_id}/decisions")).status_code == 200


def partitions(seed: Seed) -> list[str]:
    found = seed.execute(
        "SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
        "WHERE nspname = 'delivery' AND relkind = 'r' AND relname ~ '_part_[0-9]+$' ORDER BY 1"
    )
    return [str(name) for (name,) in found]


async def test_live_issues_keep_everything_beside_an_old_one(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    """One under way with an uncertain call, one finished lately, one finished long ago and retried since."""
    recent = await a_finished_issue(seed, delivery, oracle)
    reopened = await a_finished_issue(seed, delivery, oracle)
    old = await a_finished_issue(seed, delivery, oracle)
    live = seed.published_issue(seed.subscribers(30, prefix="live"))
    oracle.fault({"kind": "drop_after", "count": 1})
    await delivery.send_all_due()
    age_attempts(seed)
    age_issue(seed, old, days=400)
    age_issue(seed, reopened, days=400)
    seed.execute("UPDATE delivery.issue_run SET state = 'open', finished_at = NULL WHERE issue_id = %s", (reopened,))
    live_issues = (recent, reopened, live)

    def standing() -> list[object]:
        return [
            seed.execute(f"SELECT * FROM {table} WHERE issue_id = ANY (%s) ORDER BY 1, 2", (list(live_issues),))
            for table in (
                "delivery.delivery_chunk",
                "delivery.delivery",
                "delivery.delivery_outcome",
                "delivery.send_attempt",
            )
        ]

    before: list[Progress] = [seed.progress(issue_id) for issue_id in live_issues]
    kept = standing()
    await until_nothing_goes(delivery)
    assert standing() == kept
    assert [seed.progress(issue_id) for issue_id in live_issues] == before
    assert seed.outcomes(old) == {}


async def test_rounds_are_bounded_and_a_crash_between_them_loses_no_count(
    monkeypatch: pytest.MonkeyPatch, seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = await a_finished_issue(seed, delivery, oracle)
    before = seed.progress(issue_id)
    age_issue(seed, issue_id, days=400)
    monkeypatch.setattr(remove_old, "ROUNDS_A_STEP_MAX", 1)
    monkeypatch.setattr(store, "ROWS_A_ROUND_MAX", 100)
    left = [524]
    while await delivery.retain() or left[-1]:
        assert seed.progress(issue_id) == before
        left.append(len(seed.outcomes(issue_id)))
    assert set(left) == {524, 424, 324, 224, 124, 24, 0}


async def test_transactional_mails_go_after_their_days_and_those_that_wait_stay(
    seed: Seed, delivery: Delivering
) -> None:
    for n in range(4):
        seed.single_mail(f"new-{n}@example.com", dedupe_key=f"confirmation:{n}")
    await delivery.send_all_due()
    seed.single_mail("waiting@example.com", dedupe_key="waiting")
    seed.execute(
        "UPDATE delivery.single_mail SET created_at = now() - interval '40 days', "
        "settled_at = settled_at - interval '40 days' WHERE dedupe_key <> 'confirmation:3'"
    )
    seed.execute("UPDATE delivery.send_attempt SET started_at = now() - interval '40 days'")
    await until_nothing_goes(delivery)
    assert seed.execute("SELECT dedupe_key FROM delivery.single_mail ORDER BY 1") == [("confirmation:3",), ("waiting",)]
    assert rows(seed, ["delivery.send_attempt", "delivery.send_attempt_end"]) == {}


async def test_a_lock_that_does_not_come_is_not_waited_for_and_the_partition_goes_later(
    database: Database, seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = await a_finished_issue(seed, delivery, oracle, own_partitions=True)
    before = seed.progress(issue_id)
    age_issue(seed, issue_id, days=400)
    with psycopg.connect(database.owner_url) as reader:
        reader.execute("SELECT count(*) FROM delivery.delivery")
        await asyncio.wait_for(until_nothing_goes(delivery), 30)
        assert len(partitions(seed)) == 2
        assert len(seed.outcomes(issue_id)) == 524
        # Others are not held up behind the attempt.
        other = seed.published_issue(seed.subscribers(2, prefix="other"))
        await delivery.send_all_due()
        assert seed.progress(other).counts == {"accepted": 2}
        reader.rollback()
    await until_nothing_goes(delivery)
    assert partitions(seed) == []
    assert seed.progress(issue_id) == before
    assert seed.progress(other).counts == {"accepted": 2}


@pytest.mark.parametrize(
    "call",
    [
        "delivery.remove_issue_work({issue}, interval '0', 10)",
        "delivery.remove_issue_outcomes({issue}, interval '0', 10)",
        "delivery.remove_old_attempts(ARRAY['broadcast'], interval '0', 10)",
        "delivery.remove_old_events(interval '0', 10)",
    ],
)
async def test_the_doors_that_delete_refuse_what_is_live(
    database: Database, seed: Seed, delivery: Delivering, call: str
) -> None:
    issue_id = seed.published_issue(seed.subscribers(3))
    await delivery.send_one_chunk()
    with (
        psycopg.connect(database.url_for("delivery")) as service,
        pytest.raises((psycopg.errors.ObjectNotInPrerequisiteState, psycopg.errors.InvalidParameterValue)),
    ):
        service.execute(f"SELECT {call.format(issue=issue_id)}".encode())
    assert len(seed.outcomes(issue_id)) == 3


async def test_two_replicas_take_turns(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    issue_id = await a_finished_issue(seed, delivery, oracle)
    before = seed.progress(issue_id)
    age_issue(seed, issue_id, days=400)
    async with delivery.context.engine.begin() as connection:
        await connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": store.ADVISORY_LOCK})
        assert await delivery.retain() == 0
    await asyncio.gather(*(until_nothing_goes(delivery) for _ in range(3)))
    await until_nothing_goes(delivery)
    assert rows(seed, ALL) == {}
    assert seed.progress(issue_id) == before


def age_events(seed: Seed, *, days: int) -> None:
    """As if every event so far had come so many days ago."""
    seed.execute("UPDATE delivery.provider_event SET received_at = now() - make_interval(days => %s)", (days,))


def events_of(seed: Seed, issue_id: int | None) -> int:
    [(count,)] = seed.execute(
        "SELECT count(*) FROM delivery.provider_event WHERE issue_id IS NOT DISTINCT FROM %s", (issue_id,)
    )
    return int(str(count))


@pytest.mark.parametrize("own_partitions", [False, True])
async def test_events_go_with_the_outcomes_of_their_issue_in_bounded_rounds(
    monkeypatch: pytest.MonkeyPatch, seed: Seed, delivery: Delivering, oracle: Oracle, own_partitions: bool
) -> None:
    issue_id = seed.published_issue(seed.subscribers(25), own_partitions=own_partitions)
    await delivery.send_all_due()
    other = seed.published_issue(seed.subscribers(3, prefix="other"))
    await delivery.send_all_due()
    for message in oracle.messages():
        tell(seed, event("Delivery", message), event("Open", message))
    await delivery.apply_events()
    assert (events_of(seed, issue_id), events_of(seed, other)) == (50, 6)
    age_events(seed, days=400)
    age_issue(seed, issue_id, days=364)
    await until_nothing_goes(delivery)
    assert events_of(seed, issue_id) == 50
    age_issue(seed, issue_id, days=366)
    monkeypatch.setattr(remove_old, "ROUNDS_A_STEP_MAX", 1)
    monkeypatch.setattr(store, "ROWS_A_ROUND_MAX", 20)
    left_over = {events_of(seed, issue_id)}
    while await delivery.retain():
        left_over.add(events_of(seed, issue_id))
    assert left_over >= {50, 30, 10, 0}
    assert all(before - after <= 20 for before, after in itertools.pairwise(sorted(left_over, reverse=True)))
    assert events_of(seed, other) == 6
    assert seed.progress(issue_id).counts == {"accepted": 25}


async def test_events_without_an_issue_go_after_the_days_of_outcomes(seed: Seed, delivery: Delivering) -> None:
    tell(seed, *(event("Open", Recipient=f"reader-{n}@example.com") for n in range(30)))
    await delivery.apply_events()
    age_events(seed, days=364)
    tell(seed, {"RecordType": "NobodyKnowsThis"})
    await delivery.apply_events()
    await until_nothing_goes(delivery)
    assert events_of(seed, None) == 31
    seed.execute(
        "UPDATE delivery.provider_event SET received_at = now() - interval '366 days' WHERE record_type = 'Open'"
    )
    await until_nothing_goes(delivery)
    assert seed.execute("SELECT record_type FROM delivery.provider_event") == [("NobodyKnowsThis",)]


async def test_a_suppression_outlives_its_events_and_copies_that_come_after_all_change_nothing(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    """Of three readers one complained, one bounced, and one left and came back."""
    readers = seed.subscribers(3)
    issue_id = seed.published_issue(readers)
    await delivery.send_all_due()
    first, second, third = oracle.messages()
    told = [
        event("SpamComplaint", first, Type="SpamComplaint"),
        hard_bounce(second),
        left(third),
        came_back(third, minutes=1),
    ]
    tell(seed, *told)
    await delivery.apply_events()
    query = "SELECT email_key, kind, active, origin, source, changed_at FROM delivery.suppression ORDER BY email_key"
    before = seed.execute(query)
    assert [(kind, active) for _, kind, active, *_ in before if active] == [("complaint", True), ("hard_bounce", True)]
    age_issue(seed, issue_id, days=400)
    age_events(seed, days=400)
    await until_nothing_goes(delivery)
    assert rows(seed, ["delivery.provider_event", "delivery.delivery"]) == {}
    assert seed.execute(query) == before
    # Another time, without what went before, and in another order.
    tell(seed, *reversed(told[:-1]))
    await delivery.apply_events()
    assert seed.execute(query) == before
    following = seed.published_issue(readers, title="Next")
    await delivery.send_all_due()
    assert seed.progress(following).counts == {"accepted": 1, "suppressed": 2}
