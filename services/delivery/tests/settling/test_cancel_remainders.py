"""A cancelled issue: no further call, the books closed behind it, what was under way settled truthfully."""

import asyncio

import httpx
import pytest

from broadsheet_delivery.sending.send_chunk import send_chunk
from broadsheet_delivery.sending.send_single_mails import ClaimedMails, claim_single_mails, send_single_mails
from broadsheet_delivery.settling import cancel_remainders as module
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import Delivering, delivering, running_worker
from harness.oracle import Oracle
from harness.queue.queue_time import age_attempts, make_due
from harness.seeding import Seed
from harness.waiting import eventually


async def test_what_was_sent_stays_sent_and_the_rest_is_cancelled(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(1_300))
    await delivery.send_one_chunk()
    seed.cancel(issue_id)
    assert seed.progress(issue_id).counts == {"accepted": 500, "pending": 800}
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 500, "cancelled": 800}
    assert seed.progress(issue_id).state == "cancelled"
    assert seed.execute("SELECT finished_at IS NOT NULL FROM delivery.issue_run") == [(True,)]
    assert len(oracle.messages()) == 500
    assert seed.execute("SELECT outcome, count(*) FROM delivery.delivery_outcome GROUP BY 1 ORDER BY 1") == [
        ("accepted", 500),
        ("cancelled", 800),
    ]


async def test_a_chunk_that_was_claimed_before_is_not_begun(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    issue_id = seed.published_issue(seed.subscribers(10))
    claimed = await delivery.claim()
    assert claimed is not None
    seed.cancel(issue_id)
    await send_chunk(delivery.context, claimed)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"cancelled": 10}
    assert oracle.messages() == []


async def test_a_mail_alone_that_was_claimed_before_is_not_begun(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(10))
    oracle.fault({"kind": "item_errors", "error_code": 429, "recipients": ["reader-4@example.com"], "count": 1})
    await delivery.send_one_chunk()
    make_due(seed)
    claimed = await claim_single_mails(delivery.context, "newsletter")
    assert isinstance(claimed, ClaimedMails)
    seed.cancel(issue_id)
    await send_single_mails(delivery.context, claimed)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 9, "cancelled": 1}
    assert seed.progress(issue_id).state == "cancelled"
    assert "reader-4@example.com" not in oracle.sends()


async def test_a_call_under_way_ends_and_counts(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(600))
    oracle.fault({"kind": "latency", "latency_ms": 300})
    async with delivering(database, sandbox.base_url, sandbox.token) as slow:
        claimed = await slow.claim()
        assert claimed is not None

        async def cancel_meanwhile() -> None:
            await eventually(
                lambda: seed.execute("SELECT 1 FROM delivery.delivery_chunk WHERE status = 'attempting'") != []
            )
            await asyncio.to_thread(seed.cancel, issue_id)
            await slow.send_all_due()
            assert seed.progress(issue_id).counts == {"in_flight": 500, "cancelled": 100}

        await asyncio.gather(send_chunk(slow.context, claimed), cancel_meanwhile())
        await slow.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 500, "cancelled": 100}
    assert seed.execute("SELECT finished_at IS NOT NULL FROM delivery.issue_run") == [(True,)]


@pytest.mark.parametrize("sent", [True, False])
async def test_an_uncertain_call_settles_as_what_it_was(
    seed: Seed, delivery: Delivering, oracle: Oracle, sent: bool
) -> None:
    readers = seed.subscribers(10)
    issue_id = seed.published_issue(readers)
    oracle.fault({"kind": "drop_after" if sent else "drop_before", "count": 1})
    await delivery.send_all_due()
    seed.cancel(issue_id)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"uncertain": 10}
    age_attempts(seed)
    seed.published_issue(readers[:1], title="A later issue")
    await delivery.send_all_due()
    make_due(seed)
    await delivery.reconcile()
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == ({"accepted": 10} if sent else {"cancelled": 10})
    assert seed.execute("SELECT finished_at IS NOT NULL FROM delivery.issue_run WHERE issue_id = %s", (issue_id,)) == [
        (True,)
    ]


async def test_a_large_remainder_is_cancelled_in_rounds_that_add_up(
    monkeypatch: pytest.MonkeyPatch, seed: Seed, delivery: Delivering
) -> None:
    issue_id = seed.published_issue(seed.subscribers(25_000))
    seed.cancel(issue_id)
    monkeypatch.setattr(module, "ROUNDS_A_STEP_MAX", 1)
    seen = []
    while await delivery.cancel_remainders():
        seen.append(seed.progress(issue_id).counts)
    assert seen == [
        {"pending": 15_000, "cancelled": 10_000},
        {"pending": 5_000, "cancelled": 20_000},
        {"cancelled": 25_000},
    ]


async def test_cancelling_again_changes_nothing_and_a_paused_issue_can_be_cancelled(
    seed: Seed, delivery: Delivering, operator: httpx.AsyncClient
) -> None:
    issue_id = seed.published_issue(seed.subscribers(2))
    await operator.post(f"/api/v1/issues/{issue_id}/pause", json={})
    for was in ("paused", "cancelled"):
        assert seed.execute("SELECT delivery.cancel_issue(%s, 'key:1')", (issue_id,)) == [(was,)]
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"cancelled": 2}
    assert (await operator.post(f"/api/v1/issues/{issue_id}/resume")).status_code == 409
    assert (await operator.post(f"/api/v1/issues/{issue_id}/retry-failed")).status_code == 409
    [decision] = (await operator.get(f"/api/v1/issues/{issue_id}/decisions")).json()["items"]
    assert (decision["action"], decision["decided_by"], decision["ranges"]) == ("cancel", "key:1", None)


async def test_with_workers_running_it_adds_up_at_every_moment(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    oracle.fault({"kind": "latency", "latency_ms": 20})
    issue_id = seed.published_issue(seed.subscribers(8_000))
    async with (
        running_worker(database, sandbox.base_url, sandbox.token),
        running_worker(database, sandbox.base_url, sandbox.token),
    ):
        await eventually(lambda: seed.progress(issue_id).accepted > 0)
        # In a thread: it waits for transactions of workers that live in this loop.
        await asyncio.to_thread(seed.cancel, issue_id)

        def over() -> bool:
            assert seed.progress(issue_id).adds_up
            return seed.execute("SELECT finished_at IS NOT NULL FROM delivery.issue_run") == [(True,)]

        await eventually(over, within_s=30)
    progress = seed.progress(issue_id)
    assert set(progress.counts) <= {"accepted", "cancelled"}
    assert len(oracle.messages()) == progress.accepted
    assert set(oracle.sends().values()) == {1}


async def test_issues_that_wait_for_a_decision_do_not_stand_before_later_ones(seed: Seed, delivery: Delivering) -> None:
    [reader] = seed.subscribers(1)
    stuck = [seed.published_issue([reader]) for _ in range(module.ISSUES_A_STEP_MAX)]
    seed.execute(
        "UPDATE delivery.delivery_chunk SET status = 'uncertain', attempt_id = gen_random_uuid(), parked_at = now()"
    )
    for issue_id in stuck:
        seed.cancel(issue_id)
        assert seed.progress(issue_id).counts == {"uncertain": 1}
    later = seed.published_issue([reader])
    seed.cancel(later)
    await delivery.send_all_due()
    assert seed.progress(later).counts == {"cancelled": 1}
    assert seed.execute("SELECT finished_at IS NOT NULL FROM delivery.issue_run WHERE issue_id = %s", (later,)) == [
        (True,)
    ]
