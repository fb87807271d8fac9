"""Calls whose outcome is not known: crashes, lost answers, late workers. Settled by asking, never by sending again."""

import asyncio
import uuid
from typing import Literal

import pytest

from broadsheet_delivery.queue.chunk_store import end_attempt, hand_over, release_chunk, start_chunk
from broadsheet_delivery.queue.claim_chunk import ClaimedChunk
from broadsheet_delivery.queue.single_mail_store import put_back, start_mails
from broadsheet_delivery.sending.send_chunk import send_chunk
from broadsheet_delivery.sending.send_single_mails import ClaimedMails, claim_single_mails
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import Delivering, delivering
from harness.oracle import Oracle
from harness.queue.queue_time import age_attempts, expire_leases, make_due
from harness.seeding import Seed
from harness.waiting import eventually

LOST_ANSWERS = [
    {"kind": "drop_after"},
    {"kind": "drop_after", "reset": True},
    {"kind": "status", "status": 500, "error_code": 101, "accept": True},
    {"kind": "malformed", "shape": "truncated_json"},
    {"kind": "malformed", "shape": "cut_body"},
    {"kind": "malformed", "shape": "html_502"},
    {"kind": "malformed", "shape": "wrong_length"},
    {"kind": "malformed", "shape": "not_json"},
    {"kind": "malformed", "shape": "empty"},
]


def name_of(rule: dict[str, object]) -> str:
    return "-".join(str(rule[key]) for key in ("kind", "shape", "status", "reset") if key in rule)


@pytest.mark.parametrize("rule", LOST_ANSWERS, ids=name_of)
async def test_an_accepted_batch_whose_answer_is_lost_is_found_and_not_sent_again(
    seed: Seed, delivery: Delivering, oracle: Oracle, rule: dict[str, object]
) -> None:
    issue_id = seed.published_issue(seed.subscribers(30))
    oracle.fault({**rule, "count": 1})
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"uncertain": 30}
    assert seed.progress(issue_id).state == "open"
    make_due(seed)
    await delivery.reconcile()
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 30}
    assert seed.progress(issue_id).state == "finished"
    assert set(oracle.sends().values()) == {1}
    by_id = {message.message_id for message in oracle.messages()}
    rows = seed.execute("SELECT message_id FROM delivery.delivery_outcome")
    assert {row[0] for row in rows} == by_id


@pytest.mark.parametrize(
    "rule", [{"kind": "drop_before"}, {"kind": "malformed", "shape": "html_502", "accept": False}], ids=name_of
)
async def test_a_lost_call_that_was_not_accepted_goes_again_once_the_search_has_caught_up(
    seed: Seed, delivery: Delivering, oracle: Oracle, rule: dict[str, object]
) -> None:
    readers = seed.subscribers(30)
    issue_id = seed.published_issue(readers)
    oracle.fault({**rule, "count": 1})
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"uncertain": 30}
    # The search shows nothing, but without a later mail that it does show this proves nothing.
    age_attempts(seed)
    for _ in range(3):
        make_due(seed)
        await delivery.reconcile()
    assert seed.progress(issue_id).counts == {"uncertain": 30}
    assert oracle.sends() == {}
    later = seed.published_issue(readers[:1], title="A later issue")
    await delivery.send_all_due()
    make_due(seed)
    await delivery.reconcile()
    assert seed.progress(issue_id).counts == {"pending": 30}
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 30}
    assert seed.progress(later).counts == {"accepted": 1}
    first_issue = [message for message in oracle.messages() if message.subject == "The first issue"]
    assert len({message.to for message in first_issue}) == len(first_issue) == 30


async def test_nothing_is_taken_for_unsent_while_the_search_lags(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    readers = seed.subscribers(10)
    issue_id = seed.published_issue(readers)
    oracle.fault({"kind": "search_lag", "seconds": 3000}, {"kind": "drop_after", "count": 1})
    await delivery.send_all_due()
    age_attempts(seed)
    seed.published_issue(readers, title="A later issue")
    await delivery.send_all_due()
    for _ in range(3):
        make_due(seed)
        await delivery.reconcile()
        await delivery.send_all_due()
    # Both the lost batch and the canary are hidden from the search: nothing may be concluded.
    assert seed.progress(issue_id).counts == {"uncertain": 10}
    oracle.heal()
    make_due(seed)
    await delivery.reconcile()
    assert seed.progress(issue_id).counts == {"accepted": 10}


async def test_a_canary_that_was_lost_is_followed_by_another(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(10))
    async with delivering(
        database, sandbox.base_url, sandbox.token, delivery_canary_address="operator@example.com"
    ) as driven:
        oracle.fault({"kind": "drop_before", "count": 2})
        await driven.send_all_due()
        age_attempts(seed)
        for _ in range(3):
            make_due(seed)
            await driven.reconcile()
        # The first canary is on its way as far as anybody knows: no other is sent meanwhile.
        assert oracle.sends() == {}
        age_attempts(seed)
        for _ in range(2):
            make_due(seed)
            await driven.reconcile()
        await driven.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 10}
    sends = oracle.sends()
    assert sends.pop("operator@example.com") == 1
    assert set(sends.values()) == {1}


async def test_no_canary_is_sent_while_sending_is_paused(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(10))
    async with delivering(
        database, sandbox.base_url, sandbox.token, delivery_canary_address="operator@example.com"
    ) as driven:
        oracle.fault({"kind": "drop_before", "count": 1})
        await driven.send_all_due()
        age_attempts(seed)
        seed.execute("UPDATE delivery.sending_state SET paused_at = now(), pause_reason = 'By hand.'")
        make_due(seed)
        await driven.reconcile()
        assert oracle.sends() == {}
        assert seed.progress(issue_id).counts == {"uncertain": 10}


async def test_nothing_is_taken_for_unsent_before_the_floor(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    readers = seed.subscribers(10)
    async with delivering(database, sandbox.base_url, sandbox.token, delivery_reconcile_floor_s=7200.0) as patient:
        issue_id = seed.published_issue(readers)
        oracle.fault({"kind": "drop_before", "count": 1})
        await patient.send_all_due()
        age_attempts(seed)
        seed.published_issue(readers[:1], title="A later issue")
        await patient.send_all_due()
        make_due(seed)
        await patient.reconcile()
    assert seed.progress(issue_id).counts == {"uncertain": 10}


async def test_a_search_that_is_down_settles_nothing(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    issue_id = seed.published_issue(seed.subscribers(10))
    oracle.fault({"kind": "drop_after", "count": 1}, {"kind": "search_down"})
    await delivery.send_all_due()
    age_attempts(seed)
    make_due(seed)
    await delivery.reconcile()
    assert seed.progress(issue_id).counts == {"uncertain": 10}


async def test_with_an_address_for_it_a_canary_is_sent_once(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(10))
    async with delivering(
        database, sandbox.base_url, sandbox.token, delivery_canary_address="operator@example.com"
    ) as driven:
        oracle.fault({"kind": "drop_before", "count": 1})
        await driven.send_all_due()
        age_attempts(seed)
        for _ in range(3):
            make_due(seed)
            await driven.reconcile()
        await driven.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 10}
    sends = oracle.sends()
    assert sends.pop("operator@example.com") == 1
    assert set(sends.values()) == {1}


async def hold(delivery: Delivering) -> ClaimedChunk:
    claimed = await delivery.claim()
    assert claimed is not None
    return claimed


async def test_a_worker_that_died_before_the_call_leaves_nothing_uncertain(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(10))
    await hold(delivery)
    assert await delivery.rescue() == 0
    expire_leases(seed)
    assert await delivery.rescue() == 1
    assert seed.progress(issue_id).counts == {"pending": 10}
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 10}
    assert set(oracle.sends().values()) == {1}


async def test_a_worker_that_died_in_the_call_leaves_the_chunk_to_be_asked_about(
    seed: Seed, delivery: Delivering
) -> None:
    issue_id = seed.published_issue(seed.subscribers(10))
    claimed = await hold(delivery)
    async with delivery.context.engine.begin() as connection:
        assert await start_chunk(connection, claimed.chunk, attempt_id=uuid.uuid4(), lease=delivery.context.lease)
    expire_leases(seed)
    assert await delivery.rescue() == 1
    assert seed.progress(issue_id).counts == {"uncertain": 10}


async def test_a_worker_whose_lease_is_gone_starts_no_call(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    issue_id = seed.published_issue(seed.subscribers(10))
    claimed = await hold(delivery)
    expire_leases(seed)
    await send_chunk(delivery.context, claimed)
    assert oracle.messages() == []
    await delivery.rescue()
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 10}
    assert set(oracle.sends().values()) == {1}


async def test_an_answer_that_comes_after_the_lease_is_kept_and_nothing_is_sent_twice(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    """The stale acknowledgement: the chunk is rescued while its call is under way."""
    issue_id = seed.published_issue(seed.subscribers(10))
    oracle.fault({"kind": "latency", "latency_ms": 300})
    async with (
        delivering(database, sandbox.base_url, sandbox.token) as slow,
        delivering(database, sandbox.base_url, sandbox.token) as other,
    ):
        claimed = await hold(slow)

        async def rescue_meanwhile() -> None:
            await eventually(
                lambda: seed.execute("SELECT 1 FROM delivery.delivery_chunk WHERE status = 'attempting'") != []
            )
            expire_leases(seed)
            await other.rescue()
            assert seed.progress(issue_id).counts == {"uncertain": 10}

        await asyncio.gather(send_chunk(slow.context, claimed), rescue_meanwhile())
        assert seed.progress(issue_id).counts == {"accepted": 10}
        make_due(seed)
        await other.reconcile()
        await other.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 10}
    assert set(oracle.sends().values()) == {1}


async def test_the_rescuer_finds_one_expired_lease_behind_many_that_are_not(seed: Seed, delivery: Delivering) -> None:
    readers = seed.subscribers(1)
    issue_id = seed.published_issue(readers)
    seed.execute(
        "INSERT INTO delivery.delivery_chunk (issue_id, first_seq, last_seq, status, lease_token, lease_until) "
        "SELECT %s, 1000 + n, 1000 + n, 'leased', gen_random_uuid(), now() + interval '1 hour' "
        "FROM generate_series(1, 10000) AS n",
        (issue_id,),
    )
    await hold(delivery)
    seed.execute("UPDATE delivery.delivery_chunk SET lease_until = now() - interval '1 s' WHERE first_seq = 1")
    assert await delivery.rescue() == 1


async def test_one_item_of_unknown_fate_waits_alone_and_is_found(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(10))
    oracle.fault({"kind": "item_errors", "error_code": 101, "recipients": ["reader-4@example.com"], "count": 1})
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 9, "uncertain": 1}
    age_attempts(seed)
    seed.published_issue(seed.subscribers(1, prefix="later"), title="A later issue")
    await delivery.send_all_due()
    make_due(seed)
    await delivery.reconcile()
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 10}
    assert oracle.sends()["reader-4@example.com"] == 1


async def test_a_late_answer_hands_nothing_over_from_a_chunk_that_went_on_without_it(
    seed: Seed, delivery: Delivering
) -> None:
    """Else its new owner and the single-mail lane would both send."""
    issue_id = seed.published_issue(seed.subscribers(10))
    late = await hold(delivery)
    late_attempt = uuid.uuid4()
    async with delivery.context.engine.begin() as connection:
        assert await start_chunk(connection, late.chunk, attempt_id=late_attempt, lease=delivery.context.lease)
    seed.execute(
        "UPDATE delivery.delivery_chunk SET status = 'pending', run_at = now(), lease_token = NULL, lease_until = NULL"
    )
    newer = await hold(delivery)
    async with delivery.context.engine.begin() as connection:
        assert await start_chunk(connection, newer.chunk, attempt_id=uuid.uuid4(), lease=delivery.context.lease)
        await hand_over(connection, late.chunk, seqs=[5], attempt_id=late_attempt, uncertain=False, wait_s=0.0)
    assert seed.execute("SELECT count(*) FROM delivery.single_mail") == [(0,)]
    assert seed.progress(issue_id).counts == {"in_flight": 10}


@pytest.mark.parametrize("status", ["pending", "uncertain"])
async def test_a_late_end_takes_no_chunk_from_the_worker_that_has_it_now(
    seed: Seed, delivery: Delivering, status: str
) -> None:
    """The token decides: the chunk is under way again, under another call."""
    issue_id = seed.published_issue(seed.subscribers(10))
    late = await hold(delivery)
    async with delivery.context.engine.begin() as connection:
        assert await start_chunk(connection, late.chunk, attempt_id=uuid.uuid4(), lease=delivery.context.lease)
    seed.execute(
        "UPDATE delivery.delivery_chunk SET status = 'pending', run_at = now(), lease_token = NULL, lease_until = NULL"
    )
    newer = await hold(delivery)
    async with delivery.context.engine.begin() as connection:
        assert not await release_chunk(connection, late.chunk)
        assert await start_chunk(connection, newer.chunk, attempt_id=uuid.uuid4(), lease=delivery.context.lease)
        assert not await end_attempt(connection, late.chunk, status=status, wait_s=0.0)
    assert seed.progress(issue_id).counts == {"in_flight": 10}
    assert seed.execute("SELECT status, lease_token FROM delivery.delivery_chunk") == [
        ("attempting", newer.chunk.token)
    ]


@pytest.mark.parametrize("status", ["pending", "uncertain"])
async def test_a_late_end_takes_no_mail_from_the_worker_that_has_it_now(
    seed: Seed, delivery: Delivering, status: Literal["pending", "uncertain"]
) -> None:
    seed.single_mail("reader@example.com", dedupe_key="one")
    late = await claim_single_mails(delivery.context, "transactional")
    assert isinstance(late, ClaimedMails)
    seed.execute(
        "UPDATE delivery.single_mail SET status = 'pending', run_at = now(), lease_token = NULL, lease_until = NULL"
    )
    newer = await claim_single_mails(delivery.context, "transactional")
    assert isinstance(newer, ClaimedMails)
    ids = [int(str(row[0])) for row in seed.execute("SELECT id FROM delivery.single_mail")]
    async with delivery.context.engine.begin() as connection:
        await start_mails(
            connection, ids=ids, token=newer.token, attempt_id=newer.attempt_id, lease=delivery.context.lease
        )
        await put_back(connection, ids=ids, token=late.token, status=status, wait_s=0.0)
    assert seed.execute("SELECT status, lease_token FROM delivery.single_mail") == [("attempting", newer.token)]
