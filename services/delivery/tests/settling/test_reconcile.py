"""Calls whose answer was lost: their mails are found, or sent again once the search proves that they were not sent."""

import pytest
import structlog

from broadsheet_delivery.settling import reconcile as reconciling
from harness.delivering import Delivering
from harness.oracle import Oracle
from harness.queue.queue_time import age_attempts, make_due
from harness.seeding import Seed


async def lost_alone(seed: Seed, delivery: Delivering, oracle: Oracle, *, sent: bool) -> int:
    """An issue for three, of whom the second had to go alone, in a call whose answer was lost."""
    issue_id = seed.published_issue(seed.subscribers(3))
    oracle.fault({"kind": "item_errors", "error_code": 100, "recipients": ["reader-2@example.com"], "count": 1})
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 2, "pending": 1}
    oracle.fault({"kind": "drop_after" if sent else "drop_before", "count": 1})
    make_due(seed)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 2, "uncertain": 1}
    make_due(seed)
    return issue_id


async def test_a_delivery_that_went_alone_is_found(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    issue_id = await lost_alone(seed, delivery, oracle, sent=True)
    await delivery.reconcile()
    assert seed.progress(issue_id).counts == {"accepted": 3}
    [message] = [message for message in oracle.messages() if message.to == "reader-2@example.com"]
    [(message_id, attempt_id)] = seed.execute(
        "SELECT message_id, attempt_id FROM delivery.delivery_outcome WHERE seq = 2"
    )
    assert message_id == message.message_id
    assert str(attempt_id) == message.metadata["bs_attempt"]


async def test_a_delivery_that_went_alone_waits_for_proof_and_then_goes_again_at_once(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = await lost_alone(seed, delivery, oracle, sent=False)
    # Long enough ago for its floor and not for its deadline.
    seed.execute("UPDATE delivery.send_attempt SET started_at = started_at - interval '10 minutes'")
    [(before,)] = seed.execute("SELECT now()")
    await delivery.reconcile()
    assert seed.progress(issue_id).counts == {"accepted": 2, "uncertain": 1}
    longest_s, shortest_s = wait_of(seed, "delivery.single_mail", before)
    # 2 s after the first search, of which at most half is taken away.
    assert longest_s >= 1.0
    assert shortest_s <= 2.0
    seed.published_issue(seed.subscribers(1, prefix="later"), title="A later issue")
    await delivery.send_all_due()
    make_due(seed)
    await delivery.reconcile()
    assert seed.progress(issue_id).counts == {"accepted": 2, "pending": 1}
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 3}
    assert set(oracle.sends().values()) == {1}


async def lost(seed: Seed, delivery: Delivering, oracle: Oracle, *, sent: bool) -> int:
    """An issue for three, whose one call was lost."""
    issue_id = seed.published_issue(seed.subscribers(3))
    oracle.fault({"kind": "drop_after" if sent else "drop_before", "count": 1})
    await delivery.send_all_due()
    make_due(seed)
    return issue_id


def wait_of(seed: Seed, table: str, before: object) -> tuple[float, float]:
    """Bounds of the wait before the next search: it counts from a moment between `before` and now."""
    [(longest, shortest)] = seed.execute(
        f"SELECT extract(epoch FROM run_at - %s)::float8, extract(epoch FROM run_at - now())::float8 FROM {table}",
        (before,),
    )
    return float(str(longest)), float(str(shortest))


async def test_a_chunk_is_found_by_its_call_and_the_log_says_so(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = await lost(seed, delivery, oracle, sent=True)
    with structlog.testing.capture_logs() as logs:
        await delivery.reconcile()
    [(attempt_id,)] = seed.execute("SELECT id FROM delivery.send_attempt")
    rows = seed.execute("SELECT message_id, attempt_id FROM delivery.delivery_outcome ORDER BY seq")
    assert rows == [(message.message_id, attempt_id) for message in oracle.messages()]
    [said] = [one for one in logs if one["event"] == "delivery.reconciled"]
    assert {name: said[name] for name in ("attempt_id", "issue_id", "found", "rest_was_not_sent", "held")} == {
        "attempt_id": str(attempt_id),
        "issue_id": issue_id,
        "found": 3,
        "rest_was_not_sent": False,
        "held": True,
    }


async def test_a_chunk_that_is_not_found_waits_longer_after_each_search(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = await lost(seed, delivery, oracle, sent=False)
    for least_s in (1.0, 2.0):
        make_due(seed)
        [(before,)] = seed.execute("SELECT now()")
        await delivery.reconcile()
        longest_s, shortest_s = wait_of(seed, "delivery.delivery_chunk", before)
        # 2 s after the first search, 4 s after the second, of which at most half is taken away.
        assert longest_s >= least_s
        assert shortest_s <= 2 * least_s
    assert seed.progress(issue_id).counts == {"uncertain": 3}


async def test_what_is_parked_is_bounded_and_logged(
    seed: Seed, delivery: Delivering, oracle: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = seed.subscribers(1)
    issues = [seed.published_issue(readers) for _ in range(2)]
    oracle.fault({"kind": "drop_before", "count": 2})
    await delivery.send_all_due()
    age_attempts(seed)
    monkeypatch.setattr(reconciling, "OVERDUE_A_ROUND_MAX", 1)
    with structlog.testing.capture_logs() as logs:
        assert await reconciling.park_overdue(delivery.context) == 1
        assert await reconciling.park_overdue(delivery.context) == 1
        assert await reconciling.park_overdue(delivery.context) == 0
    warned = [{key: one[key] for key in ("event", "chunks_or_mails")} for one in logs]
    assert warned == [{"event": "delivery.parked_overdue", "chunks_or_mails": 1}] * 2
    parked = seed.execute(
        "SELECT sum(parked) FROM delivery.published_issue_progress WHERE issue_id = ANY (%s)", (issues,)
    )
    assert parked == [(2,)]


async def test_the_log_names_the_call_that_is_parked(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    await lost(seed, delivery, oracle, sent=False)
    age_attempts(seed)
    with structlog.testing.capture_logs() as logs:
        await delivery.reconcile()
    [(attempt_id,)] = seed.execute("SELECT id FROM delivery.send_attempt")
    parked = [one for one in logs if one["event"] == "delivery.parked"]
    assert [(one["attempt_id"], one["chunks_or_mails"]) for one in parked] == [(str(attempt_id), 1)]
