"""The canary: what is recorded of it, and how soon the search is asked again."""

import asyncio

import pytest
import structlog

from broadsheet_delivery.settling import reconcile as reconciling
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import Delivering, delivering
from harness.oracle import Oracle
from harness.queue.queue_time import age_attempts, make_due
from harness.seeding import Seed

ADDRESS = "operator@example.com"


async def lost_long_ago(seed: Seed, driven: Delivering, oracle: Oracle) -> None:
    """A call that was lost and has been searched for five times."""
    seed.published_issue(seed.subscribers(3))
    oracle.fault({"kind": "drop_before", "count": 1})
    await driven.send_all_due()
    # Long enough ago for its floor and not for its deadline.
    seed.execute("UPDATE delivery.send_attempt SET started_at = started_at - interval '10 minutes'")
    seed.execute("UPDATE delivery.delivery_chunk SET reconcile_count = 5")
    make_due(seed)


def wait_s(seed: Seed, before: object) -> tuple[float, float]:
    """Bounds of the chunk's wait: it counts from a moment between `before` and now."""
    [(longest, shortest)] = seed.execute(
        "SELECT extract(epoch FROM run_at - %s)::float8, extract(epoch FROM run_at - now())::float8 "
        "FROM delivery.delivery_chunk",
        (before,),
    )
    return float(str(longest)), float(str(shortest))


def ends_of_canaries(seed: Seed) -> list[tuple[object, ...]]:
    return seed.execute(
        "SELECT attempt.message_count, ended.verdict, ended.accepted_count FROM delivery.send_attempt AS attempt "
        "JOIN delivery.send_attempt_end AS ended ON ended.attempt_id = attempt.id WHERE attempt.lane = 'canary'"
    )


async def test_once_it_is_sent_the_search_is_asked_again_soon(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    async with delivering(database, sandbox.base_url, sandbox.token, delivery_canary_address=ADDRESS) as driven:
        await lost_long_ago(seed, driven, oracle)
        await driven.reconcile()
        _, shortest_s = wait_s(seed, seed.execute("SELECT now()")[0][0])
        assert shortest_s <= 1.0, "as after no search at all"
        assert ends_of_canaries(seed) == [(1, "answered", 1)]


async def test_while_one_may_be_on_its_way_the_wait_stays_long(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    async with delivering(database, sandbox.base_url, sandbox.token, delivery_canary_address=ADDRESS) as driven:
        await lost_long_ago(seed, driven, oracle)
        oracle.fault({"kind": "drop_before", "count": 1})
        await driven.reconcile()
        assert ends_of_canaries(seed) == [(1, "uncertain", 0)]
        make_due(seed)
        [(before,)] = seed.execute("SELECT now()")
        await driven.reconcile()
        longest_s, _ = wait_s(seed, before)
        assert longest_s > 2.0
        assert oracle.sends() == {}


async def test_one_that_was_refused_is_no_canary(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    async with delivering(database, sandbox.base_url, sandbox.token, delivery_canary_address=ADDRESS) as driven:
        await lost_long_ago(seed, driven, oracle)
        oracle.fault({"kind": "item_errors", "error_code": 406, "recipients": [ADDRESS], "count": 1})
        [(before,)] = seed.execute("SELECT now()")
        await driven.reconcile()
        assert ends_of_canaries(seed) == [(1, "answered", 0)]
        longest_s, _ = wait_s(seed, before)
        assert longest_s > 2.0


@pytest.mark.parametrize("readers", [1, 3])
async def test_what_the_search_shows_of_a_lost_call_is_counted_so_that_it_can_serve_as_one(
    seed: Seed, delivery: Delivering, oracle: Oracle, readers: int
) -> None:
    seed.published_issue(seed.subscribers(readers))
    oracle.fault({"kind": "drop_after", "count": 1})
    await delivery.send_all_due()
    assert seed.execute("SELECT verdict, accepted_count FROM delivery.send_attempt_end") == [("uncertain", 0)]
    make_due(seed)
    await delivery.reconcile()
    assert seed.execute("SELECT verdict, accepted_count FROM delivery.send_attempt_end") == [("uncertain", readers)]


async def test_what_the_search_does_not_show_is_no_end_of_a_call(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    seed.published_issue(seed.subscribers(2))
    oracle.fault({"kind": "drop_before", "count": 1})
    await delivery.send_all_due()
    seed.execute("ALTER TABLE delivery.send_attempt_end DISABLE TRIGGER USER")
    seed.execute("DELETE FROM delivery.send_attempt_end")
    age_attempts(seed)
    make_due(seed)
    await delivery.reconcile()
    assert seed.execute("SELECT * FROM delivery.send_attempt_end") == []


async def test_a_search_that_is_down_is_said_in_the_log_with_the_call(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    seed.published_issue(seed.subscribers(2))
    oracle.fault({"kind": "drop_after", "count": 1}, {"kind": "search_down"})
    await delivery.send_all_due()
    make_due(seed)
    with structlog.testing.capture_logs() as logs:
        await delivery.reconcile()
    [(attempt_id,)] = seed.execute("SELECT id FROM delivery.send_attempt")
    [said] = [one for one in logs if one["event"] == "delivery.search_unavailable"]
    assert said["attempt_id"] == str(attempt_id)
    assert len(said["reason"]) > len("None")


async def test_one_that_hangs_ends_with_the_time_of_a_search(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other calls wait for the result of the round, and a call to send may take minutes."""
    monkeypatch.setattr("broadsheet_delivery.postmark.client.SEARCH_TIMEOUT_S", 0.5)
    async with delivering(
        database,
        sandbox.base_url,
        sandbox.token,
        delivery_canary_address=ADDRESS,
        delivery_http_timeout_s=600.0,
        delivery_lease_s=1200.0,
    ) as driven:
        await lost_long_ago(seed, driven, oracle)
        oracle.fault({"kind": "hang", "count": 1})
        async with asyncio.timeout(60):
            await driven.reconcile()
        assert ends_of_canaries(seed) == [(1, "uncertain", 0)]
        oracle.heal()


async def test_a_round_asks_about_so_many_calls_and_no_more(
    seed: Seed, delivery: Delivering, oracle: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = seed.subscribers(1)
    for _ in range(3):
        seed.published_issue(readers)
    oracle.fault({"kind": "drop_after", "count": 3})
    await delivery.send_all_due()
    make_due(seed)
    monkeypatch.setattr(reconciling, "ATTEMPTS_A_ROUND_MAX", 2)
    assert [await delivery.reconcile() for _ in range(3)] == [2, 1, 0]
