"""Cases from other systems' bug reports that had no test elsewhere; README.md lists all of them."""

import asyncio
from typing import Any

import httpx

from broadsheet_delivery.sending.send_chunk import send_chunk
from broadsheet_delivery.throttle.state_store import pause_issue, resume_issue, resume_sending
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import Delivering, delivering
from harness.oracle import Oracle
from harness.queue.queue_time import age_attempts, expire_leases, make_due
from harness.seeding import Seed
from harness.waiting import eventually

METADATA_KEY_CHARS_MAX = 20
METADATA_VALUE_CHARS_MAX = 80
ROUNDS_MAX = 30


def _assert_everybody_once(oracle: Oracle, count: int) -> None:
    sends = oracle.sends()
    assert (len(sends), set(sends.values())) == (count, {1})


async def _resume_issue(delivery: Delivering, issue_id: int) -> None:
    async with delivery.context.engine.begin() as connection:
        assert await resume_issue(connection, issue_id=issue_id)


async def _resume_everything(delivery: Delivering) -> None:
    async with delivery.context.engine.begin() as connection:
        await resume_sending(connection)


async def _settle(seed: Seed, delivery: Delivering, issue_id: int) -> None:
    """Let waits and floors be over until the issue is finished."""
    for _ in range(ROUNDS_MAX):
        if seed.progress(issue_id).state == "finished":
            return
        age_attempts(seed)
        make_due(seed)
        await delivery.reconcile()
        await delivery.send_all_due()
    raise AssertionError(f"not finished: {seed.progress(issue_id)}")


async def test_a_sender_killed_in_the_middle_of_a_batch_leaves_nobody_out(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(1600))
    async with delivering(database, sandbox.base_url, sandbox.token) as killed:
        assert await killed.send_one_chunk()
        oracle.fault({"kind": "hang", "accept": True, "seconds": 60, "count": 1})
        in_call, fetched_only = await killed.claim(), await killed.claim()
        assert in_call is not None
        assert fetched_only is not None
        sending = asyncio.create_task(send_chunk(killed.context, in_call))
        await eventually(lambda: len(oracle.messages()) == 1000, what="the second batch was accepted")
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    oracle.heal()
    async with delivering(database, sandbox.base_url, sandbox.token) as restarted:
        await restarted.send_all_due()
        progress = seed.progress(issue_id)
        assert (progress.state, progress.counts) == ("open", {"accepted": 600, "in_flight": 1000})
        expire_leases(seed)
        await restarted.rescue()
        assert seed.progress(issue_id).counts == {"accepted": 600, "pending": 500, "uncertain": 500}
        await restarted.send_all_due()
        assert seed.progress(issue_id).state == "open", "not finished with a deficit"
        await _settle(seed, restarted, issue_id)
    assert seed.progress(issue_id).counts == {"accepted": 1600}
    _assert_everybody_once(oracle, 1600)


async def test_a_pause_while_throttled_a_new_limit_and_a_restart_go_on_to_the_end(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(1500))
    oracle.fault({"kind": "rate_limit", "skip": 1})
    async with delivering(database, sandbox.base_url, sandbox.token, delivery_concurrent_calls=4) as before:
        await before.send_all_due()
        async with before.context.engine.begin() as connection:
            assert await pause_issue(connection, issue_id=issue_id, reason="Throttled.")
    oracle.heal()
    make_due(seed)
    async with delivering(database, sandbox.base_url, sandbox.token, delivery_concurrent_calls=1) as after:
        await after.send_all_due()
        progress = seed.progress(issue_id)
        assert (progress.state, progress.counts) == ("paused", {"accepted": 500, "pending": 1000})
        await _resume_issue(after, issue_id)
        await after.send_all_due()
        await _settle(seed, after, issue_id)
    assert seed.progress(issue_id).counts == {"accepted": 1500}
    _assert_everybody_once(oracle, 1500)


async def test_connections_that_drop_after_2500_leave_only_the_remainder_to_send(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    readers = seed.subscribers(4000)
    issue_id = seed.published_issue(readers)
    oracle.fault({"kind": "drop_before", "skip": 5})
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 2500, "uncertain": 1500}
    async with delivery.context.engine.begin() as connection:
        assert await pause_issue(connection, issue_id=issue_id, reason="Too many failures.")
    oracle.heal()
    await delivery.send_all_due()
    assert len(oracle.messages()) == 2500
    await _resume_issue(delivery, issue_id)
    # A mail that was accepted later shows that the search has caught up.
    seed.published_issue(seed.subscribers(1, prefix="later"), title="A later issue")
    age_attempts(seed)
    await delivery.send_all_due()
    await _settle(seed, delivery, issue_id)
    assert seed.progress(issue_id).counts == {"accepted": 4000}
    _assert_everybody_once(oracle, 4001)


async def test_a_quota_that_ends_before_the_last_23_keeps_them_and_sends_just_them_later(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(68))
    oracle.fault(
        {"kind": "item_errors", "error_code": 405, "recipients": [f"reader-{n}@example.com" for n in range(46, 69)]}
    )
    await delivery.send_all_due()
    progress = seed.progress(issue_id)
    assert (progress.state, progress.counts) == ("open", {"accepted": 45, "pending": 23})
    [(reason,)] = seed.execute("SELECT pause_reason FROM delivery.sending_state")
    assert "405" in str(reason)
    oracle.heal()
    make_due(seed)
    await delivery.send_all_due()
    assert len(oracle.messages()) == 45, "it waits until somebody resumes"
    await _resume_everything(delivery)
    await delivery.send_all_due()
    assert [message.to for message in oracle.messages()[45:]] == [f"reader-{n}@example.com" for n in range(46, 69)]
    assert seed.progress(issue_id).counts == {"accepted": 68}
    assert seed.progress(issue_id).state == "finished"


async def test_a_batch_of_500_that_times_out_is_asked_about(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(500))
    oracle.fault({"kind": "hang", "accept": True, "seconds": 30, "count": 1})
    async with delivering(database, sandbox.base_url, sandbox.token, delivery_http_timeout_s=5.0) as driven:
        await driven.send_all_due()
        assert seed.progress(issue_id).counts == {"uncertain": 500}
        make_due(seed)
        await driven.reconcile()
        await driven.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 500}
    assert seed.progress(issue_id).state == "finished"
    _assert_everybody_once(oracle, 500)


async def test_the_name_of_a_sender_with_a_comma_is_quoted_in_from(
    seed: Seed, delivery: Delivering, sandbox: RunningSandbox
) -> None:
    seed.execute("UPDATE publishing.newsletter SET from_name = 'Ada, VP', from_email = 'ada@example.com'")
    seed.published_issue(seed.subscribers(1))
    await delivery.send_all_due()
    [message] = _accepted(sandbox)
    assert message["From"] == '"Ada, VP" <ada@example.com>'


async def test_every_mail_names_its_stream_also_one_that_goes_alone(
    seed: Seed, delivery: Delivering, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    """Without the field Postmark would take the transactional stream for a newsletter."""
    seed.published_issue(seed.subscribers(3))
    seed.single_mail("new@example.com", dedupe_key="a")
    oracle.fault({"kind": "item_errors", "error_code": 100, "recipients": ["reader-2@example.com"], "count": 1})
    await delivery.send_all_due()
    make_due(seed)
    await delivery.send_all_due()
    streams = {message["To"]: message["MessageStream"] for message in _accepted(sandbox)}
    assert streams == {
        "new@example.com": "outbound",
        **{f"reader-{n}@example.com": "broadcast" for n in (1, 2, 3)},
    }
    seed.execute("UPDATE publishing.newsletter SET message_stream = 'letters'")
    seed.published_issue(seed.subscribers(1, prefix="other"), title="On a stream that is not there")
    await delivery.send_all_due()
    assert len(_accepted(sandbox)) == 4, "never on another stream than the newsletter's own"


async def test_no_metadata_is_longer_than_postmark_takes(
    seed: Seed, delivery: Delivering, sandbox: RunningSandbox
) -> None:
    """Postmark, "Custom metadata FAQ": 20 characters a key, 80 a value. Ours are constants, numbers and UUIDs."""
    seed.execute("ALTER SEQUENCE publishing.issue_id_seq RESTART WITH 9223372036854775807")
    seed.published_issue(seed.subscribers(2))
    seed.single_mail("new@example.com", dedupe_key="x" * 200)
    await delivery.send_all_due()
    messages = _accepted(sandbox)
    assert len(messages) == 3
    for message in messages:
        assert message["Metadata"]
        for key, value in message["Metadata"].items():
            assert len(key) <= METADATA_KEY_CHARS_MAX
            assert len(value) <= METADATA_VALUE_CHARS_MAX


def _accepted(sandbox: RunningSandbox) -> list[dict[str, Any]]:
    answer = httpx.get(f"{sandbox.base_url}/_sandbox/messages", params={"limit": 1000}, timeout=10)
    answer.raise_for_status()
    return [item["message"] for item in answer.json()["messages"]]
