"""The background worker: woken, polling, unimpressed by faults, and gone when told."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.background import runner as background
from broadsheet_common.background import set_aside
from broadsheet_common.background.runner import BackgroundRunner
from broadsheet_publishing.fan_out import worker as fan_out_worker
from broadsheet_publishing.fan_out.fan_out import Step, fan_out_step
from broadsheet_publishing.fan_out.worker import FanOutWorker
from harness.cluster import Database

from .conftest import Publishing, PublishingOwner, running_publishing, until


@pytest.fixture
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls and back-offs of milliseconds, so that tests wait for conditions and not for the clock."""
    monkeypatch.setattr(fan_out_worker, "POLL_S", 0.02)
    monkeypatch.setattr(set_aside, "REST_MAX_S", 0.05)
    monkeypatch.setattr(background, "BACK_OFF_MAX_S", 0.05)


async def finished(owner: PublishingOwner, issue_id: int) -> bool:
    return owner.rows("SELECT finished_at IS NOT NULL FROM publishing.fan_out WHERE issue_id = %s", issue_id) == [
        (True,)
    ]


async def run_until_finished(worker: FanOutWorker, owner: PublishingOwner, issue_id: int) -> None:
    async with BackgroundRunner(worker.loops).running(stop_timeout_s=10):
        await until(lambda: finished(owner, issue_id))


async def test_the_poll_finds_what_another_process_published(
    engine: AsyncEngine, owner: PublishingOwner, quick_polls: None
) -> None:
    worker = FanOutWorker(engine, page_rows=10)
    owner.add_confirmed(25)
    async with BackgroundRunner(worker.loops).running(stop_timeout_s=10):
        await asyncio.sleep(0)
        issue_id = owner.add_published_issue()
        await until(lambda: finished(owner, issue_id))
    assert owner.enqueued(issue_id) == owner.audience()


async def test_a_publish_in_the_same_process_wakes_it_without_a_poll(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fan_out_worker, "POLL_S", 3_600.0)
    async with running_publishing(database) as publishing:
        publishing.add_confirmed(3)
        issue_id = (await publishing.write_issue()).json()["id"]
        await publishing.publish(issue_id)
        await publishing.until_fanned_out(issue_id)
        other = (await publishing.write_issue(publish=True)).json()["id"]
        await publishing.until_fanned_out(other)


async def test_an_issue_that_always_fails_does_not_hold_up_the_others(
    engine: AsyncEngine, owner: PublishingOwner, quick_polls: None
) -> None:
    owner.add_confirmed(25)
    poisoned, good = owner.add_published_issue(), owner.add_published_issue()
    # Its run takes no deliveries any more, though its fan-out is open.
    owner.rows("UPDATE delivery.issue_run SET fan_out_finished_at = now() WHERE issue_id = %s", poisoned)
    worker = FanOutWorker(engine, page_rows=10)
    await run_until_finished(worker, owner, good)
    assert owner.enqueued(good) == owner.audience()
    assert owner.enqueued(poisoned) == []
    owner.rows("UPDATE delivery.issue_run SET fan_out_finished_at = NULL WHERE issue_id = %s", poisoned)
    await run_until_finished(worker, owner, poisoned)
    assert owner.enqueued(poisoned) == owner.audience()


async def test_it_goes_on_by_itself_after_the_database_was_away(
    engine: AsyncEngine, owner: PublishingOwner, quick_polls: None
) -> None:
    owner.add_confirmed(25)
    worker = FanOutWorker(engine, page_rows=10)
    await worker.work_until_idle()
    owner.take_database_away()
    issue_id = owner.add_published_issue()
    running = BackgroundRunner(worker.loops)

    async def has_failed() -> bool:
        return running.statuses()["publishing.fan_out"].failures > 0

    async with running.running(stop_timeout_s=10):
        await until(has_failed)
        owner.bring_database_back()
        await until(lambda: finished(owner, issue_id))
    assert owner.enqueued(issue_id) == owner.audience()


async def test_a_fault_nobody_expected_does_not_end_it(
    engine: AsyncEngine, owner: PublishingOwner, quick_polls: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.add_confirmed(3)
    issue_id = owner.add_published_issue()
    failures = iter([RuntimeError("a bug"), None])

    async def fail_once(
        engine: AsyncEngine, *, page_rows: int, resting_issue_ids: frozenset[int], partition_above: int
    ) -> Step:
        if error := next(failures, None):
            raise error
        return await fan_out_step(
            engine, page_rows=page_rows, resting_issue_ids=resting_issue_ids, partition_above=partition_above
        )

    monkeypatch.setattr(fan_out_worker, "fan_out_step", fail_once)
    await run_until_finished(FanOutWorker(engine, page_rows=10), owner, issue_id)


async def test_the_app_stops_cleanly_in_the_middle_of_a_step(database: Database, owner: PublishingOwner) -> None:
    owner.add_confirmed(3)
    with owner.locked("LOCK TABLE delivery.delivery IN ACCESS EXCLUSIVE MODE"):
        async with running_publishing(database) as publishing:
            issue_id: int = (await publishing.write_issue(publish=True)).json()["id"]
            await owner.until_somebody_waits_for_a_lock()
        await until(lambda: nobody_waits(owner))
    assert owner.enqueued(issue_id) == []
    async with running_publishing(database) as restarted:
        await restarted.until_fanned_out(issue_id)
    assert owner.enqueued(issue_id) == owner.audience()


async def nobody_waits(owner: PublishingOwner) -> bool:
    return owner.rows(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ) == [(0,)]


async def test_expired_keys_are_pruned_and_others_kept(publishing: Publishing, engine: AsyncEngine) -> None:
    await publishing.write_issue()
    publishing.rows(
        "INSERT INTO publishing.idempotency_key (scope, key, fingerprint, expires_at) "
        "SELECT 'user:1', n::text, '', now() + CASE WHEN n = 1 THEN interval '1 h' ELSE interval '-1 h' END "
        "FROM generate_series(1, 2500) AS n"
    )

    async def only_the_live_one() -> bool:
        return publishing.rows("SELECT key FROM publishing.idempotency_key") == [("1",)]

    async with BackgroundRunner(FanOutWorker(engine, page_rows=10).loops).running(stop_timeout_s=10):
        await until(only_the_live_one)
