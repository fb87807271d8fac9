"""The newsletter lane on real Postgres and the strict sandbox: the oracle is what the sandbox accepted."""

import asyncio
import uuid
from datetime import timedelta

import pytest

from broadsheet_delivery.queue.chunk_store import lease_chunk
from broadsheet_delivery.queue.claim_chunk import ClaimedChunk
from broadsheet_delivery.sending.send_chunk import send_chunk
from broadsheet_delivery.sending.send_single_mails import ClaimedMails, claim_single_mails, send_single_mails
from broadsheet_delivery.throttle.state_store import pause_issue, pause_sending, resume_issue, resume_sending
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import Delivering, delivering
from harness.oracle import Oracle
from harness.queue.queue_time import make_due
from harness.seeding import Seed


async def test_every_confirmed_subscriber_gets_the_issue_once(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    issue_id = seed.published_issue(seed.subscribers(1203))
    await delivery.send_all_due()
    assert seed.progress(issue_id).state == "finished"
    assert seed.progress(issue_id).counts == {"accepted": 1203}
    sends = oracle.sends()
    assert set(sends) == {f"reader-{n}@example.com" for n in range(1, 1204)}
    assert set(sends.values()) == {1}


async def test_two_workers_never_hold_the_same_row(database: Database, seed: Seed, sandbox: RunningSandbox) -> None:
    issue_id = seed.published_issue(seed.subscribers(1900))
    async with (
        delivering(database, sandbox.base_url, sandbox.token) as first,
        delivering(database, sandbox.base_url, sandbox.token) as second,
    ):
        claims = await asyncio.gather(first.claim(), second.claim(), first.claim(), second.claim())
        held = [recipient.seq for claim in claims if claim is not None for recipient in claim.recipients]
        assert sorted(held) == list(range(1, 1901))
        assert await first.claim() is None
    assert seed.progress(issue_id).counts == {"in_flight": 1900}


async def test_two_workers_side_by_side_send_each_mail_once(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(3000))
    async with (
        delivering(database, sandbox.base_url, sandbox.token) as first,
        delivering(database, sandbox.base_url, sandbox.token) as second,
    ):
        await asyncio.gather(*(worker.send_all_due() for worker in (first, second, first, second)))
    assert seed.progress(issue_id).counts == {"accepted": 3000}
    assert set(oracle.sends().values()) == {1}


async def test_a_worker_waits_for_no_row_lock_of_another(database: Database, seed: Seed, delivery: Delivering) -> None:
    """SKIP LOCKED: while one transaction holds a chunk's row, the next claim takes another one at once."""
    issue_id = seed.published_issue(seed.subscribers(600))
    async with delivery.context.engine.begin() as holder:
        held = await lease_chunk(holder, issue_id=issue_id, token=uuid.uuid4(), lease=timedelta(seconds=5))
        other = await delivery.claim()
    assert held is not None
    assert other is not None
    assert other.chunk.id != held.id


async def test_who_left_before_the_claim_gets_nothing(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    readers = seed.subscribers(5)
    issue_id = seed.published_issue(readers)
    seed.leave(readers[1])
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 4, "excluded": 1}
    assert "reader-2@example.com" not in oracle.sends()


async def test_who_left_between_claim_and_call_gets_nothing(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    readers = seed.subscribers(5)
    issue_id = seed.published_issue(readers)
    claimed = await delivery.claim()
    assert claimed is not None
    seed.leave(readers[3])
    await send_chunk(delivery.context, claimed)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 4, "excluded": 1}
    assert "reader-4@example.com" not in oracle.sends()


async def test_when_all_have_left_no_call_is_made(seed: Seed, delivery: Delivering) -> None:
    readers = seed.subscribers(3)
    issue_id = seed.published_issue(readers)
    for reader in readers:
        seed.leave(reader)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"excluded": 3}
    assert seed.progress(issue_id).state == "finished"
    assert seed.execute("SELECT count(*) FROM delivery.send_attempt") == [(0,)]


async def test_an_erased_subscriber_is_excluded(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    readers = seed.subscribers(2)
    issue_id = seed.published_issue(readers)
    seed.execute("DELETE FROM subscriptions.subscriber WHERE id = %s", (readers[0],))
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 1, "excluded": 1}
    assert list(oracle.sends()) == ["reader-2@example.com"]


async def test_one_invalid_address_among_many_is_excluded_with_its_reason(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    readers = seed.subscribers(1000)
    seed.execute("UPDATE subscriptions.subscriber SET email = 'not an address' WHERE id = %s", (readers[500],))
    issue_id = seed.published_issue(readers)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 999, "excluded": 1}
    [(reason,)] = seed.execute("SELECT reason FROM delivery.delivery_outcome WHERE outcome = 'excluded'")
    assert "address" in str(reason)
    assert len(oracle.sends()) == 999


async def test_one_inactive_recipient_in_a_batch_of_500(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    issue_id = seed.published_issue(seed.subscribers(500))
    oracle.fault({"kind": "item_errors", "error_code": 406, "recipients": ["reader-77@example.com"]})
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 499, "suppressed": 1}
    assert seed.progress(issue_id).state == "finished"
    assert set(oracle.sends().values()) == {1}
    rows = seed.execute("SELECT seq, error_code, reason FROM delivery.delivery_outcome WHERE outcome = 'suppressed'")
    assert rows[0][:2] == (77, 406)
    assert "inactive" in str(rows[0][2])
    assert seed.execute("SELECT message_stream, email_key FROM delivery.suppression") == [
        ("broadcast", "reader-77@example.com")
    ]


async def test_an_inactive_recipient_is_known_by_position_when_the_text_names_nobody(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    seed.published_issue(seed.subscribers(10))
    oracle.fault(
        {"kind": "item_errors", "error_code": 406, "recipients": ["reader-3@example.com"], "name_address": False}
    )
    await delivery.send_all_due()
    assert seed.execute("SELECT email_key FROM delivery.suppression") == [("reader-3@example.com",)]


async def test_a_suppressed_address_is_not_sent_to_again(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    readers = seed.subscribers(3)
    seed.execute("INSERT INTO delivery.suppression VALUES ('broadcast', 'reader-2@example.com', 'It bounced.', 'test')")
    issue_id = seed.published_issue(readers)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 2, "suppressed": 1}
    assert "reader-2@example.com" not in oracle.sends()


async def test_a_mail_that_cannot_be_rendered_is_final_and_the_others_go(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    readers = seed.subscribers(4)
    seed.execute("UPDATE subscriptions.subscriber SET name = '7' WHERE id = %s", (readers[2],))
    # For one of them alone text is compared with a number.
    issue_id = seed.published_issue(
        readers, html="{% if subscriber.name == '7' %}{% if subscriber.name < 3 %}y{% endif %}{% endif %}x"
    )
    await delivery.send_all_due()
    progress = seed.progress(issue_id)
    assert (progress.state, progress.counts) == ("finished", {"accepted": 3, "failed": 1})
    assert oracle.sends() == {f"reader-{number}@example.com": 1 for number in (1, 2, 4)}
    [(seq, outcome, code, reason)] = seed.execute(
        "SELECT seq, outcome, error_code, reason FROM delivery.delivery_outcome WHERE outcome <> 'accepted'"
    )
    assert (seq, outcome, code) == (3, "failed", None)
    assert "rendered" in str(reason)


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "status", "status": 429, "error_code": 429, "count": 1},
        {"kind": "status", "status": 503, "error_code": 100, "count": 1},
    ],
    ids=["too many requests", "maintenance"],
)
async def test_a_refusal_that_passes_is_tried_again_by_all_after_a_wait(
    seed: Seed, delivery: Delivering, oracle: Oracle, rule: dict[str, object]
) -> None:
    issue_id = seed.published_issue(seed.subscribers(700))
    oracle.fault(rule)
    await delivery.send_all_due()
    # One call was refused, and every replica holds back.
    assert seed.progress(issue_id).counts == {"pending": 700}
    make_due(seed)
    await delivery.send_all_due()
    make_due(seed)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 700}
    assert set(oracle.sends().values()) == {1}


async def test_nobody_listening_is_certainly_not_sent(database: Database, seed: Seed, delivery: Delivering) -> None:
    issue_id = seed.published_issue(seed.subscribers(3))
    assert await delivery.preflight() == 1
    async with delivering(database, "http://127.0.0.1:9", "token") as cut_off:
        await cut_off.send_all_due()
    assert seed.progress(issue_id).counts == {"pending": 3}
    # How often it was tried is a matter of how long the back-off was.
    assert set(seed.execute("SELECT verdict FROM delivery.send_attempt_end")) == {("not_sent",)}


async def test_an_account_error_pauses_everything_and_marks_nothing_failed(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(600))
    oracle.fault({"kind": "status", "status": 401, "error_code": 10, "message": "Bad or missing Server API token."})
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"pending": 600}
    [(reason,)] = seed.execute("SELECT pause_reason FROM delivery.sending_state")
    assert "401" in str(reason)
    oracle.heal()
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"pending": 600}
    async with delivery.context.engine.begin() as connection:
        await resume_sending(connection)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 600}
    assert set(oracle.sends().values()) == {1}


async def test_a_configuration_error_pauses_the_issue_with_its_reason(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(3))
    oracle.fault({"kind": "item_errors", "error_code": 400, "message": "The From address is not a Sender Signature."})
    await delivery.send_all_due()
    progress = seed.progress(issue_id)
    assert progress.state == "paused"
    assert "Sender Signature" in str(progress.pause_reason)
    assert progress.counts == {"pending": 3}
    oracle.heal()
    async with delivery.context.engine.begin() as connection:
        assert await resume_issue(connection, issue_id=issue_id)
    make_due(seed)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 3}


async def test_an_item_that_is_only_delayed_goes_on_alone(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    issue_id = seed.published_issue(seed.subscribers(20))
    oracle.fault({"kind": "item_errors", "error_code": 100, "recipients": ["reader-5@example.com"], "count": 1})
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 19, "pending": 1}
    assert seed.progress(issue_id).state == "open"
    make_due(seed)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 20}
    assert seed.progress(issue_id).state == "finished"
    assert set(oracle.sends().values()) == {1}
    assert {message.stream for message in oracle.messages()} == {"broadcast"}


async def test_a_success_without_an_error_code_is_a_success(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    issue_id = seed.published_issue(seed.subscribers(3))
    oracle.fault({"kind": "malformed", "shape": "no_error_code"})
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 3}


async def test_a_payload_that_is_too_large_is_sent_in_parts(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    issue_id = seed.published_issue(seed.subscribers(500))
    oracle.fault({"kind": "status", "status": 413, "error_code": 0, "count": 3})
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 500}
    assert set(oracle.sends().values()) == {1}


async def test_the_parts_of_a_payload_that_is_too_large_count_each_outcome_once(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    """The last of them left before: that outcome belongs to the second part alone."""
    readers = seed.subscribers(4)
    issue_id = seed.published_issue(readers)
    seed.leave(readers[3])
    oracle.fault({"kind": "status", "status": 413, "error_code": 0, "count": 1})
    assert await delivery.send_one_chunk()
    assert seed.count("delivery.delivery_chunk") == 2
    assert seed.progress(issue_id).counts == {"excluded": 1, "pending": 3}
    make_due(seed)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 3, "excluded": 1}


async def test_one_message_that_is_too_large_alone_is_final(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    issue_id = seed.published_issue(seed.subscribers(4))
    oracle.fault({"kind": "status", "status": 413, "error_code": 0, "match": {"recipient": "^reader-3@"}})
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 3, "failed": 1}
    assert seed.outcomes(issue_id)[3] == "failed"
    assert set(oracle.sends().values()) == {1}


async def test_a_batch_stays_within_its_bytes(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(200), html="<p>" + "x" * 5000 + "</p>")
    async with delivering(database, sandbox.base_url, sandbox.token, batch_bytes_max=100_000) as small:
        await small.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 200}
    assert set(oracle.sends().values()) == {1}
    [(largest,)] = seed.execute("SELECT max(message_count) FROM delivery.send_attempt")
    assert 1 < int(str(largest)) < 20


async def test_a_paused_issue_sends_nothing_and_goes_on_where_it_stood(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(1000))
    assert await delivery.send_one_chunk()
    async with delivery.context.engine.begin() as connection:
        assert await pause_issue(connection, issue_id=issue_id, reason="by hand")
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 500, "pending": 500}
    async with delivery.context.engine.begin() as connection:
        assert await resume_issue(connection, issue_id=issue_id)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 1000}
    assert set(oracle.sends().values()) == {1}


@pytest.mark.parametrize("lane", ["chunk", "alone"])
@pytest.mark.parametrize("held_up", ["everything", "the issue"])
async def test_a_pause_between_claim_and_call_holds(
    seed: Seed, delivery: Delivering, oracle: Oracle, lane: str, held_up: str
) -> None:
    issue_id = seed.published_issue(seed.subscribers(1))
    if lane == "alone":
        oracle.fault({"kind": "item_errors", "error_code": 429, "pattern": "reader", "count": 1})
        await delivery.send_one_chunk()
        make_due(seed)
    claimed = await (delivery.claim() if lane == "chunk" else claim_single_mails(delivery.context, "newsletter"))
    assert isinstance(claimed, ClaimedChunk | ClaimedMails)
    async with delivery.context.engine.begin() as connection:
        if held_up == "everything":
            await pause_sending(connection, reason="by hand")
        else:
            assert await pause_issue(connection, issue_id=issue_id, reason="by hand")
    if isinstance(claimed, ClaimedChunk):
        await send_chunk(delivery.context, claimed)
    else:
        await send_single_mails(delivery.context, claimed)
    assert seed.progress(issue_id).counts == {"pending": 1}
    assert oracle.messages() == []


async def test_a_small_issue_is_not_starved_by_a_large_one(seed: Seed, delivery: Delivering) -> None:
    readers = seed.subscribers(3000)
    large = seed.published_issue(readers)
    small = seed.published_issue(readers[:10])
    assert await delivery.send_one_chunk()
    assert await delivery.send_one_chunk()
    assert seed.progress(small).accepted == 10
    assert seed.progress(large).accepted == 500


async def test_the_first_mails_leave_while_the_audience_is_being_enqueued_and_the_issue_stays_open(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(3))
    seed.execute("UPDATE delivery.issue_run SET fan_out_finished_at = NULL WHERE issue_id = %s", (issue_id,))
    await delivery.send_all_due()
    assert len(oracle.messages()) == 3
    assert seed.progress(issue_id).state == "open"
    seed.execute("SELECT delivery.close_fan_out(%s)", (issue_id,))
    await delivery.send_all_due()
    assert seed.progress(issue_id).state == "finished"
