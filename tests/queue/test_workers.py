"""The worker's own loops, several at once in one process, on real Postgres and against the sandbox."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from broadsheet_delivery.throttle.state_store import resume_issue
from broadsheet_postmark_sandbox.testing import RunningSandbox, running_sandbox_sync
from harness.cluster import Database
from harness.delivering import Delivering, running_worker
from harness.oracle import Oracle
from harness.seeding import Progress, Seed
from harness.waiting import eventually

RECIPIENTS = 5_000
FINISH_S = 90.0


@pytest.fixture(scope="module")
def slow_sandbox() -> Iterator[RunningSandbox]:
    """A Postmark that takes its time over every answer."""
    with running_sandbox_sync(latency_ms=20) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(slow_sandbox: RunningSandbox) -> RunningSandbox:
    Oracle(slow_sandbox).reset()
    return slow_sandbox


@asynccontextmanager
async def _watched(database: Database, issue_id: int) -> AsyncIterator[list[Progress]]:
    """The issue's progress, looked at over and over by a connection of its own, from a thread."""
    seen: list[Progress] = []
    over = asyncio.Event()

    async def watch() -> None:
        with Seed.connect(database) as seed:
            while not over.is_set():
                seen.append(await asyncio.to_thread(seed.progress, issue_id))
            seen.append(await asyncio.to_thread(seed.progress, issue_id))

    watching = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        over.set()
        await watching


def _finished(seed: Seed, issue_id: int) -> bool:
    return seed.progress(issue_id).state == "finished"


def _assert_everybody_once(oracle: Oracle, count: int) -> None:
    sends = oracle.sends()
    assert (len(sends), set(sends.values())) == (count, {1})


async def test_two_workers_at_once_send_everything_once_and_the_counts_add_up_at_every_moment(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(RECIPIENTS))
    async with (
        _watched(database, issue_id) as seen,
        running_worker(database, sandbox.base_url, sandbox.token),
        running_worker(database, sandbox.base_url, sandbox.token),
    ):
        await eventually(lambda: _finished(seed, issue_id), within_s=FINISH_S, what="the issue is finished")
    _assert_everybody_once(oracle, RECIPIENTS)
    assert seed.progress(issue_id).counts == {"accepted": RECIPIENTS}
    assert len({progress.accepted for progress in seen}) > 3, "it was looked at while it ran"
    for progress in seen:
        assert progress.adds_up, progress
        assert progress.audience == RECIPIENTS
    accepted = [progress.accepted for progress in seen]
    assert accepted == sorted(accepted), "nothing that was accepted is taken back"
    replicas = seed.execute("SELECT count(DISTINCT replica_id) FROM delivery.send_attempt")
    assert replicas == [(2,)], "both took part"


async def test_the_counts_add_up_while_the_audience_still_grows(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    readers = seed.subscribers(3_000)
    [(issue_id,)] = seed.execute(
        "INSERT INTO publishing.issue (newsletter_id, title, html_content, text_content, status, created_by, "
        "published_at) VALUES (1, 'Growing', '<p>H</p>', 'T', 'published', 'test', now()) RETURNING id"
    )
    issue = int(str(issue_id))
    seed.execute("SELECT delivery.open_issue_run(%s, 1, %s)", (issue, f"00-{'1' * 32}-{'2' * 16}-01"))
    async with running_worker(database, sandbox.base_url, sandbox.token), _watched(database, issue) as seen:
        for start in range(0, 3_000, 250):
            await asyncio.to_thread(
                seed.execute,
                "SELECT delivery.enqueue_deliveries(%s, %s::bigint[])",
                (issue, readers[start : start + 250]),
            )
            if start == 1_500:
                await eventually(
                    lambda: seed.progress(issue).accepted > 0, what="mail leaves while the fan-out still runs"
                )
            assert seed.progress(issue).state == "open"
        seed.execute("SELECT delivery.close_fan_out(%s)", (issue,))
        await eventually(lambda: _finished(seed, issue), within_s=FINISH_S, what="the issue is finished")
    assert all(progress.adds_up for progress in seen)
    audiences = [progress.audience for progress in seen]
    assert audiences == sorted(audiences)
    _assert_everybody_once(oracle, 3_000)


async def test_a_worker_drained_in_the_middle_leaves_the_rest_to_another_and_nobody_gets_two(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(RECIPIENTS))
    oracle.fault({"kind": "latency", "latency_ms": 1_000, "match": {"stream": "broadcast"}})
    async with running_worker(database, sandbox.base_url, sandbox.token, delivery_concurrent_calls=2) as first:
        await eventually(lambda: seed.progress(issue_id).accepted > 0, within_s=FINISH_S, what="it has begun")
        await first.drain(20.0)
        oracle.heal()
        drained = seed.progress(issue_id)
        assert drained.state == "open", "it was drained in the middle"
        assert set(drained.counts) == {"accepted", "pending"}, "what was under way ended, and nothing is held"
        assert drained.accepted == len(oracle.messages())
        assert await asyncio.to_thread(seed.progress, issue_id) == drained
    async with running_worker(database, sandbox.base_url, sandbox.token):
        await eventually(lambda: _finished(seed, issue_id), within_s=FINISH_S, what="the other one finishes it")
    _assert_everybody_once(oracle, RECIPIENTS)
    assert seed.progress(issue_id).counts == {"accepted": RECIPIENTS}
    stopped = seed.execute("SELECT count(*) FROM delivery.replica WHERE stopped_at IS NOT NULL")
    assert stopped == [(2,)]


async def test_a_confirmation_during_a_large_issue_arrives_while_it_is_running(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(RECIPIENTS))
    # So slow that the issue is under way for long, whatever else this machine does; healed when the mail is there.
    oracle.fault({"kind": "latency", "latency_ms": 2_000, "match": {"stream": "broadcast"}})
    async with running_worker(database, sandbox.base_url, sandbox.token, delivery_concurrent_calls=1):
        await eventually(lambda: seed.progress(issue_id).accepted > 0, within_s=FINISH_S, what="it has begun")
        seed.single_mail("new@example.com", dedupe_key="confirmation")
        await eventually(
            lambda: any(mail.to == "new@example.com" for mail in oracle.messages()),
            within_s=FINISH_S,
            what="the confirmation is there",
        )
        oracle.heal()
        await eventually(lambda: _finished(seed, issue_id), within_s=FINISH_S, what="the issue is finished")
    recipients = [mail.to for mail in oracle.messages()]
    after = len(recipients) - 1 - recipients.index("new@example.com")
    assert after >= 1_000, "many newsletter mails left after it"
    assert set(oracle.sends().values()) == {1}


async def test_a_publish_wakes_a_worker_that_would_not_look_for_a_minute(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    async with running_worker(
        database, sandbox.base_url, sandbox.token, delivery_poll_s=120.0, delivery_single_poll_s=120.0
    ):
        await _is_asleep(seed)
        issue_id = seed.published_issue(seed.subscribers(3))
        await eventually(lambda: _finished(seed, issue_id), within_s=30, what="the issue is finished")
    _assert_everybody_once(oracle, 3)


async def test_a_resume_wakes_a_worker_that_would_not_look_for_a_minute(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle, delivery: Delivering
) -> None:
    issue_id = seed.published_issue(seed.subscribers(3))
    seed.execute("UPDATE delivery.issue_run SET state = 'paused', pause_reason = 'By hand.'")
    async with running_worker(
        database, sandbox.base_url, sandbox.token, delivery_poll_s=120.0, delivery_single_poll_s=120.0
    ):
        await _is_asleep(seed)
        assert oracle.messages() == []
        async with delivery.context.engine.begin() as connection:
            assert await resume_issue(connection, issue_id=issue_id)
        await eventually(lambda: _finished(seed, issue_id), within_s=30, what="the issue is finished")
    _assert_everybody_once(oracle, 3)


async def _is_asleep(seed: Seed) -> None:
    """It listens, and its first look at each lane is over."""

    def listens_and_looked() -> bool:
        rows = seed.execute(
            "SELECT application_name, state, query FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name LIKE '%%delivery%%'"
        )
        listening = any(name == "broadsheet-delivery-listen" and "LISTEN" in str(query) for name, _, query in rows)
        return listening and all(state == "idle" for _, state, _ in rows) and len(rows) > 1

    for _ in range(5):
        await eventually(listens_and_looked, what="the worker has nothing to do")
