"""What other queues' bug reports tell of: each is a test, here or where tests/cases/README.md says."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import msgspec
import psycopg
import pytest
import structlog

from broadsheet_delivery.postmark.answer import FoundMessage
from broadsheet_delivery.postmark.call_result import CallResult
from broadsheet_delivery.postmark.client import PostmarkClient
from broadsheet_delivery.queue import rescue_leases as rescue_module
from broadsheet_delivery.queue.chunk_store import lease_chunk
from broadsheet_delivery.queue.claim_chunk import ClaimedChunk
from broadsheet_delivery.queue.single_mail_store import expire_mails, lease_mails
from broadsheet_delivery.sending.send_chunk import send_chunk
from broadsheet_delivery.settling.reconcile import reconcile
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import Delivering, delivering, running_worker
from harness.oracle import Oracle
from harness.owner import Owner
from harness.queue.frozen_queue import OldWorker
from harness.queue.queue_time import age_attempts, expire_leases, make_due
from harness.seeding import Seed
from harness.waiting import eventually

FINISH_S = 60.0
NO_JOINS_BUT_LOOPS = ("enable_hashjoin", "enable_mergejoin", "enable_material", "enable_hashagg", "enable_bitmapscan")


class _StoppingClient(PostmarkClient):
    """Runs something between the answer of a call and its record."""

    def __init__(self, inner: PostmarkClient, between: Callable[[], Awaitable[None]]) -> None:
        self.__dict__.update(inner.__dict__)
        self._between = between

    async def send_batch(self, *arguments: Any, **named: Any) -> CallResult:
        result = await super().send_batch(*arguments, **named)
        await self._between()
        return result


async def _send_with(delivery: Delivering, claimed: ClaimedChunk, between: Callable[[], Awaitable[None]]) -> None:
    client = _StoppingClient(delivery.context.postmark, between)
    await send_chunk(msgspec.structs.replace(delivery.context, postmark=client), claimed)


async def _hold(delivery: Delivering) -> ClaimedChunk:
    claimed = await delivery.claim()
    assert claimed is not None
    return claimed


def _statuses(seed: Seed) -> list[str]:
    return [str(status) for (status,) in seed.execute("SELECT status FROM delivery.delivery_chunk ORDER BY id")]


async def test_the_database_dies_only_during_the_record_and_comes_back(
    database: Database, seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(10))
    owner = Owner(database.owner_url)

    async def take_away() -> None:
        # The owner's statement ends the owner's own other connection too, so the seed's is made anew below.
        await asyncio.to_thread(owner.take_database_away)

    with structlog.testing.capture_logs() as logs:
        sending = asyncio.create_task(_send_with(delivery, await _hold(delivery), take_away))
        await eventually(
            lambda: any(entry["event"] == "delivery.record_retried" for entry in logs), what="the record failed"
        )
        assert not sending.done()
        owner.bring_database_back()
        await sending
    with Seed.connect(database) as again:
        assert again.progress(issue_id).counts == {"accepted": 10}
        assert again.execute("SELECT verdict FROM delivery.send_attempt_end") == [("answered",)]
    assert set(oracle.sends().values()) == {1}


async def test_a_worker_that_dies_before_its_record_leaves_the_call_to_be_asked_about(
    database: Database, seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(10))
    answered = asyncio.Event()

    async def never_record() -> None:
        answered.set()
        await asyncio.Event().wait()

    sending = asyncio.create_task(_send_with(delivery, await _hold(delivery), never_record))
    await asyncio.wait_for(answered.wait(), 10)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    assert _statuses(seed) == ["attempting"]
    expire_leases(seed)
    await delivery.rescue()
    assert seed.progress(issue_id).counts == {"uncertain": 10}
    make_due(seed)
    await delivery.reconcile()
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 10}
    assert set(oracle.sends().values()) == {1}


class _CatchingUpClient(PostmarkClient):
    """The provider's index catches up, with everything accepted so far, just after the first question."""

    def __init__(self, inner: PostmarkClient, oracle: Oracle) -> None:
        self.__dict__.update(inner.__dict__)
        self._oracle = oracle

    async def search(self, *, attempt_id: uuid.UUID, stream: str) -> list[FoundMessage]:
        found = await super().search(attempt_id=attempt_id, stream=stream)
        await asyncio.to_thread(self._oracle.heal)
        return found


async def test_a_search_that_catches_up_between_two_questions_proves_nothing_about_the_first(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    """The canary must be seen before the mails are looked for: seen after, it says nothing about the earlier look."""
    readers = seed.subscribers(10)
    issue_id = seed.published_issue(readers)
    oracle.fault({"kind": "search_lag", "seconds": 3000}, {"kind": "drop_after", "count": 1})
    await delivery.send_all_due()
    age_attempts(seed)
    seed.published_issue(seed.subscribers(1, prefix="later"), title="A later issue")
    await delivery.send_all_due()
    make_due(seed)
    client = _CatchingUpClient(delivery.context.postmark, oracle)
    await reconcile(msgspec.structs.replace(delivery.context, postmark=client))
    for _ in range(2):
        make_due(seed)
        await delivery.reconcile()
        await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 10}
    assert set(oracle.sends().values()) == {1}


async def test_a_workers_record_is_deleted_and_its_name_used_again(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    """Leases do not hang on the record: what the gone one held stays held until its end, and is then found."""
    issue_id = seed.published_issue(seed.subscribers(1000))
    heartbeat = "INSERT INTO delivery.replica (id, host, pid, version) VALUES (%s, 'host', 7, '0.1.0')"
    async with (
        delivering(database, sandbox.base_url, sandbox.token) as gone,
        delivering(database, sandbox.base_url, sandbox.token) as namesake,
    ):
        seed.execute(heartbeat, (gone.context.replica.id,))
        held = await _hold(gone)
        seed.execute("DELETE FROM delivery.replica")
        seed.execute(heartbeat, (namesake.context.replica.id,))
        other = await _hold(namesake)
        assert other.chunk.id != held.chunk.id
        assert await namesake.rescue() == 0, "a lease that runs is nobody's to take"
        await send_chunk(namesake.context, other)
        expire_leases(seed)
        assert await namesake.rescue() == 1
        await send_chunk(gone.context, held)
        assert len(oracle.messages()) == 500, "the gone one starts nothing"
        await namesake.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 1000}
    assert set(oracle.sends().values()) == {1}


async def test_the_rescuer_is_killed_in_the_middle_and_another_does_all_of_it(
    database: Database, seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(1000))
    seed.single_mail("new@example.com", dedupe_key="a")
    await _hold(delivery)
    await _hold(delivery)
    async with delivery.context.engine.begin() as connection:
        await lease_mails(connection, part="transactional", token=uuid.uuid4(), lease=delivery.context.lease, limit=10)
    expire_leases(seed)
    # The rescuer frees chunks first and mails then: the lock on the mails' table stops it between the two.
    with psycopg.connect(database.owner_url) as blocker:
        blocker.execute("LOCK TABLE delivery.single_mail IN SHARE MODE")
        rescuing = asyncio.create_task(delivery.rescue())
        waiting = (
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
            "AND query LIKE '%%delivery.single_mail%%'"
        )
        await eventually(lambda: seed.execute(waiting) != [], what="the rescuer is in the middle")
        seed.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM ({waiting}) AS rescuer")
        with pytest.raises(Exception, match=r"terminat|closed|connection"):
            await rescuing
    assert _statuses(seed) == ["leased", "leased"], "it left nothing half done"
    assert await delivery.rescue() == 3
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 1000}
    assert set(oracle.sends().values()) == {1}


async def test_a_call_that_would_hang_past_the_lease_ends_before_it(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(10))
    oracle.fault({"kind": "hang", "accept": True, "seconds": 30, "count": 1})
    async with delivering(
        database, sandbox.base_url, sandbox.token, delivery_http_timeout_s=5.0, delivery_lease_s=30.0
    ) as driven:
        assert await driven.send_one_chunk()
        assert _statuses(seed) == ["uncertain"]
        assert seed.execute("SELECT verdict FROM delivery.send_attempt_end") == [("uncertain",)]
        assert await driven.rescue() == 0, "the worker itself wrote it down, within its lease"
        make_due(seed)
        await driven.reconcile()
    assert seed.progress(issue_id).counts == {"accepted": 10}
    assert set(oracle.sends().values()) == {1}


async def test_all_replicas_are_killed_at_the_cap_and_the_next_one_has_all_places(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    """No place at the provider is held by the dead, and what they had under way is asked about."""
    calls = 4
    issue_id = seed.published_issue(seed.subscribers(500 * (calls + 2)))
    oracle.fault({"kind": "hang", "accept": True, "seconds": 60})
    async with (
        delivering(database, sandbox.base_url, sandbox.token) as first,
        delivering(database, sandbox.base_url, sandbox.token) as second,
    ):
        under_way = [
            asyncio.create_task(send_chunk(one.context, await _hold(one))) for one in [first, second] * (calls // 2)
        ]

        async def all_are_under_way() -> bool:
            # In a thread: reading a thousand mails takes a loaded machine longer than the calls have.
            return len(await asyncio.to_thread(oracle.sends)) == 500 * calls

        await eventually(all_are_under_way, what="all calls are under way")
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
    assert _statuses(seed) == ["attempting"] * calls + ["pending"] * 2
    oracle.heal()
    expire_leases(seed)
    async with running_worker(database, sandbox.base_url, sandbox.token, delivery_concurrent_calls=calls):
        await eventually(lambda: seed.progress(issue_id).state == "finished", within_s=FINISH_S, what="it is finished")
    sends = oracle.sends()
    assert (len(sends), set(sends.values())) == (500 * (calls + 2), {1})


async def test_two_versions_send_one_issue_at_once(
    seed: Seed, delivery: Delivering, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    """The first version's worker sends one chunk, dies in the call of another, and only claims a third."""
    issue_id = seed.published_issue(seed.subscribers(2200))
    finishes, dies, sleeps = (OldWorker(seed) for _ in range(3))
    assert finishes.claim(issue_id)
    assert await delivery.send_one_chunk()
    assert dies.claim(issue_id)
    assert sleeps.claim(issue_id)
    assert finishes.start()
    assert finishes.record(_old_call(sandbox, finishes))
    assert dies.start()
    _old_call(sandbox, dies)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 1200, "in_flight": 1000}
    expire_leases(seed)
    assert await delivery.rescue() == 2
    assert not sleeps.start(), "its lease is gone"
    assert seed.progress(issue_id).counts == {"accepted": 1200, "pending": 500, "uncertain": 500}
    make_due(seed)
    await delivery.reconcile()
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 2200}
    assert seed.progress(issue_id).state == "finished"
    assert set(oracle.sends().values()) == {1}


def _old_call(sandbox: RunningSandbox, worker: OldWorker) -> list[uuid.UUID]:
    messages = [
        {
            "From": "newsletter@example.com",
            "To": f"reader-{seq}@example.com",
            "Subject": "S",
            "HtmlBody": "<p>H</p>",
            "TextBody": "T",
            "MessageStream": "broadcast",
            "Headers": [
                {"Name": "List-Unsubscribe", "Value": "<https://news.example.com/unsubscribe/x>"},
                {"Name": "List-Unsubscribe-Post", "Value": "List-Unsubscribe=One-Click"},
            ],
            "Metadata": {"bs_delivery": f"{worker.issue_id}-{seq}", "bs_attempt": str(worker.attempt_id)},
        }
        for seq in range(worker.first_seq, worker.last_seq + 1)
    ]
    answer = httpx.post(f"{sandbox.base_url}/email/batch", json=messages, headers=sandbox.headers, timeout=30)
    assert answer.is_success, answer.text
    return [uuid.UUID(item["MessageID"]) for item in answer.json()]


async def test_what_the_first_version_left_in_the_single_mail_lane_is_sent(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    """A row with 0001's columns alone: a delivery handed over by an old worker."""
    issue_id = seed.published_issue(seed.subscribers(3))
    seed.execute(
        "INSERT INTO delivery.single_mail "
        "(kind, dedupe_key, issue_id, seq, status, attempt_count, attempt_id, run_at, traceparent) "
        "VALUES ('newsletter', %s, %s, 2, 'pending', 1, NULL, now(), %s)",
        (f"newsletter:{issue_id}:2", issue_id, f"00-{'1' * 32}-{'2' * 16}-01"),
    )
    await delivery.send_all_due()
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 3}
    assert seed.progress(issue_id).state == "finished"
    assert set(oracle.sends().values()) == {1}


async def test_a_forced_nested_loop_takes_no_more_than_was_asked_for(
    database: Database, seed: Seed, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`IN (SELECT … LIMIT n FOR UPDATE SKIP LOCKED)` is run again for each outer row by a nested loop."""
    for setting in NO_JOINS_BUT_LOOPS:
        seed.execute(f"ALTER DATABASE {database.name} SET {setting} = off")
    issue_id = seed.published_issue(seed.subscribers(1))
    seed.execute(
        "INSERT INTO delivery.delivery_chunk (issue_id, first_seq, last_seq) "
        "SELECT %s, 1000 + n, 1000 + n FROM generate_series(1, 50) AS n",
        (issue_id,),
    )
    for n in range(30):
        seed.single_mail(f"reader-{n}@example.com", dedupe_key=str(n))
        seed.single_mail(f"late-{n}@example.com", dedupe_key=f"late-{n}", expires_in="-1 s")
    monkeypatch.setattr(rescue_module, "RESCUED_A_ROUND_MAX", 3)
    async with delivering(database, sandbox.base_url, sandbox.token) as driven:
        engine, lease = driven.context.engine, driven.context.lease
        async with engine.begin() as connection:
            await lease_chunk(connection, issue_id=issue_id, token=uuid.uuid4(), lease=lease)
            await expire_mails(connection, limit=5)
            mails = await lease_mails(connection, part="transactional", token=uuid.uuid4(), lease=lease, limit=5)
        assert _statuses(seed).count("leased") == 1
        assert len(mails) == 5
        by_status = set(seed.execute("SELECT status, count(*) FROM delivery.single_mail GROUP BY 1"))
        assert by_status == {("leased", 5), ("expired", 5), ("pending", 50)}
        seed.execute(
            "UPDATE delivery.delivery_chunk SET status = 'leased', lease_token = gen_random_uuid(), "
            "lease_until = now() - interval '1 s'"
        )
        expire_leases(seed)
        assert await driven.rescue() == 6, "three of each lane"


async def test_failover_to_a_read_only_server_and_back(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(5_000))
    oracle.fault({"kind": "latency", "latency_ms": 50})

    def fail_over(*, read_only: bool) -> None:
        seed.execute(f"ALTER DATABASE {database.name} SET default_transaction_read_only = {read_only}")
        seed.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    with structlog.testing.capture_logs() as logs:
        # What was leased when the server changed is free again after a short lease.
        async with running_worker(
            database,
            sandbox.base_url,
            sandbox.token,
            delivery_concurrent_calls=2,
            delivery_http_timeout_s=5.0,
            delivery_lease_s=8.0,
        ):
            await eventually(lambda: seed.progress(issue_id).accepted > 0, within_s=FINISH_S, what="it has begun")
            await asyncio.to_thread(fail_over, read_only=True)
            await eventually(
                lambda: any(
                    entry["event"] in {"background.round_failed", "delivery.record_retried"}
                    and entry["log_level"] == "warning"
                    for entry in logs
                ),
                what="the read-only server was met",
            )
            await asyncio.to_thread(fail_over, read_only=False)
            await eventually(lambda: seed.progress(issue_id).state == "finished", within_s=FINISH_S, what="it went on")
    assert seed.progress(issue_id).counts == {"accepted": 5_000}
    sends = oracle.sends()
    assert (len(sends), set(sends.values())) == (5_000, {1})
    assert [entry for entry in logs if entry["log_level"] == "error"] == []


async def test_a_poison_row_among_good_ones_is_put_aside_in_the_same_run(
    seed: Seed, delivery: Delivering, oracle: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = seed.subscribers(500)
    # What a filter makes of one name is longer than a mail may hold; of all the others it is not.
    seed.execute("UPDATE subscriptions.subscriber SET name = repeat('x', 15000) WHERE id = %s", (readers[249],))
    issue_id = seed.published_issue(
        readers, html="<p>{{ subscriber.name | append: subscriber.name }}</p>", text="Hello"
    )
    await delivery.send_all_due()
    progress = seed.progress(issue_id)
    assert progress.counts == {"accepted": 499, "failed": 1}
    assert progress.state == "finished"
    [(seq, reason)] = seed.execute("SELECT seq, reason FROM delivery.delivery_outcome WHERE outcome = 'failed'")
    assert seq == 250
    assert "could not be rendered" in str(reason)
    sends = oracle.sends()
    assert (len(sends), set(sends.values())) == (499, {1})


async def test_a_poison_row_that_goes_alone_is_put_aside_and_the_others_of_its_batch_go(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    readers = seed.subscribers(10)
    oracle.fault({"kind": "item_errors", "error_code": 100, "pattern": "^reader-[345]@", "count": 3})
    issue_id = seed.published_issue(
        readers, html="<p>{{ subscriber.name | append: subscriber.name }}</p>", text="Hello"
    )
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 7, "pending": 3}
    seed.execute("UPDATE subscriptions.subscriber SET name = repeat('x', 15000) WHERE id = %s", (readers[3],))
    age_attempts(seed)
    make_due(seed)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 9, "failed": 1}
    assert seed.progress(issue_id).state == "finished"
    assert set(oracle.sends().values()) == {1}
