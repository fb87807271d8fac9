"""The fan-out, step by step on a real database: resumable, exactly once, with any number of workers."""

import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_publishing.fan_out.fan_out import (
    Enqueued,
    Finished,
    NothingToDo,
    Prepared,
    Step,
    fan_out_step,
)
from broadsheet_publishing.fan_out.store import KEEP_TO_THE_INDEX_SQL, PAGE_SQL
from broadsheet_publishing.issues.step_failed import IssueStepFailedError
from harness.cluster import Database

from .conftest import ManyConfirmed, PublishingOwner, engine_for


async def step_in_new_process(database: Database, page_rows: int) -> Step:
    """One step on connections of its own, as a process does that starts after another died."""
    engine = engine_for(database)
    try:
        return await fan_out_step(engine, page_rows=page_rows)
    finally:
        await engine.dispose()


async def test_each_step_enqueues_the_next_page_and_a_new_process_goes_on(
    database: Database, owner: PublishingOwner
) -> None:
    owner.add_confirmed(25)
    issue_id = owner.add_published_issue()
    steps = [await step_in_new_process(database, 10) for _ in range(4)]
    assert steps == [Enqueued(issue_id, 10), Enqueued(issue_id, 10), Finished(issue_id, 5), NothingToDo()]
    assert owner.enqueued(issue_id) == owner.audience()
    assert owner.rows(
        "SELECT fan_out.enqueued_count, fan_out.finished_at = run.fan_out_finished_at FROM publishing.fan_out "
        "JOIN delivery.issue_run AS run USING (issue_id)"
    ) == [(25, True)]


async def test_an_audience_of_whole_pages_is_finished_by_an_empty_one(
    engine: AsyncEngine, owner: PublishingOwner
) -> None:
    owner.add_confirmed(20)
    issue_id = owner.add_published_issue()
    steps = [await fan_out_step(engine, page_rows=10) for _ in range(3)]
    assert steps == [Enqueued(issue_id, 10), Enqueued(issue_id, 10), Finished(issue_id, 0)]
    assert owner.enqueued(issue_id) == owner.audience()


async def test_120_who_confirmed_at_three_moments_are_all_enqueued_once_in_pages_of_20(
    engine: AsyncEngine, owner: PublishingOwner
) -> None:
    owner.add_confirmed(120)
    owner.rows(
        "UPDATE subscriptions.subscription SET confirmed_at = timestamptz '2026-01-01 12:00Z' + "
        "make_interval(days => (subscriber_id %% 3)::integer), created_at = '2026-01-01 12:00Z'"
    )
    issue_id = owner.add_published_issue()
    steps = [await fan_out_step(engine, page_rows=20) for _ in range(7)]
    assert steps == [Enqueued(issue_id, 20)] * 6 + [Finished(issue_id, 0)]
    assert owner.enqueued(issue_id) == owner.audience()


async def test_an_audience_that_left_after_the_publish_is_finished_with_nobody(
    engine: AsyncEngine, owner: PublishingOwner
) -> None:
    issue_id = owner.add_published_issue()
    assert await fan_out_step(engine, page_rows=10) == Finished(issue_id, 0)
    assert owner.enqueued(issue_id) == []


async def test_the_audience_is_frozen_at_publish_time(engine: AsyncEngine, owner: PublishingOwner) -> None:
    owner.add_confirmed(15)
    before = owner.audience()
    issue_id = owner.add_published_issue()
    await fan_out_step(engine, page_rows=10)
    owner.add_confirmed(15)
    assert await fan_out_step(engine, page_rows=10) == Finished(issue_id, 5)
    assert owner.enqueued(issue_id) == before


async def test_whoever_leaves_while_it_runs_is_not_enqueued_any_more(
    engine: AsyncEngine, owner: PublishingOwner
) -> None:
    owner.add_confirmed(15)
    audience = owner.audience()
    issue_id = owner.add_published_issue()
    await fan_out_step(engine, page_rows=10)
    owner.rows(
        "UPDATE subscriptions.subscription SET state = 'unsubscribed', unsubscribed_at = now() "
        "WHERE subscriber_id = %s",
        audience[12],
    )
    await fan_out_step(engine, page_rows=10)
    assert owner.enqueued(issue_id) == audience[:12] + audience[13:]


async def test_a_step_that_fails_in_the_middle_changes_nothing_and_succeeds_later(
    engine: AsyncEngine, owner: PublishingOwner
) -> None:
    owner.add_confirmed(15)
    issue_id = owner.add_published_issue()
    await fan_out_step(engine, page_rows=10)
    # The deliveries are in, and then the cursor cannot be moved.
    owner.rows("ALTER TABLE publishing.fan_out ADD CONSTRAINT stuck CHECK (enqueued_count <= 10)")
    with pytest.raises(IssueStepFailedError) as raised:
        await fan_out_step(engine, page_rows=10)
    assert raised.value.issue_id == issue_id
    assert owner.enqueued(issue_id) == owner.audience()[:10]
    assert owner.rows("SELECT next_seq FROM delivery.issue_run") == [(11,)]
    owner.rows("ALTER TABLE publishing.fan_out DROP CONSTRAINT stuck")
    assert await fan_out_step(engine, page_rows=10) == Finished(issue_id, 5)
    assert owner.enqueued(issue_id) == owner.audience()


async def test_a_process_that_dies_within_a_step_leaves_nothing_behind(
    engine: AsyncEngine, owner: PublishingOwner
) -> None:
    owner.add_confirmed(15)
    issue_id = owner.add_published_issue()
    with owner.locked("SELECT FROM delivery.issue_run FOR UPDATE"):
        dying = asyncio.create_task(fan_out_step(engine, page_rows=10))
        await owner.until_somebody_waits_for_a_lock()
        owner.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test'")
        with pytest.raises(sa.exc.DBAPIError):  # the connection's fault, not the issue's
            await dying
    assert owner.enqueued(issue_id) == []
    assert await fan_out_step(engine, page_rows=100) == Finished(issue_id, 15)
    assert owner.enqueued(issue_id) == owner.audience()


async def test_two_workers_at_once_enqueue_everybody_once(database: Database, owner: PublishingOwner) -> None:
    owner.add_confirmed(500)
    issue_ids = [owner.add_published_issue() for _ in range(3)]

    async def work() -> int:
        engine, count, idle = engine_for(database), 0, 0
        while idle < 3:
            step = await fan_out_step(engine, page_rows=7)
            match step:
                case NothingToDo():
                    idle += 1
                case Prepared():
                    pass
                case Enqueued() | Finished():
                    count += step.count
        await engine.dispose()
        return count

    enqueued = list(await asyncio.gather(work(), work()))
    # A worker may see nothing to do while the other holds the last fan-out: one goes on to the end.
    while not isinstance(step := await step_in_new_process(database, 7), NothingToDo):
        assert isinstance(step, Enqueued | Finished)
        enqueued.append(step.count)
    assert sum(enqueued) == 1_500
    for issue_id in issue_ids:
        assert owner.enqueued(issue_id) == owner.audience()


async def test_a_small_issue_does_not_wait_for_a_large_one(engine: AsyncEngine, owner: PublishingOwner) -> None:
    second = owner.add_newsletter("second")
    owner.add_confirmed(100)
    owner.add_confirmed(2, newsletter_id=second)
    large = owner.add_published_issue()
    assert await fan_out_step(engine, page_rows=10) == Enqueued(large, 10)
    small = owner.add_published_issue(second)
    assert await fan_out_step(engine, page_rows=10) == Finished(small, 2)


async def test_a_resting_issue_is_left_alone(engine: AsyncEngine, owner: PublishingOwner) -> None:
    owner.add_confirmed(3)
    first, second = owner.add_published_issue(), owner.add_published_issue()
    assert await fan_out_step(engine, page_rows=10, resting_issue_ids=frozenset({first})) == Finished(second, 3)
    assert isinstance(await fan_out_step(engine, page_rows=10, resting_issue_ids=frozenset({first})), NothingToDo)


async def test_a_page_is_read_from_the_audience_index_alone(many_confirmed: ManyConfirmed) -> None:
    """Also on a table that nobody has analysed yet, where the planner would rather sort all that is left."""
    for analysed in (False, True):
        if analysed:
            PublishingOwner(many_confirmed.database.owner_url).rows("ANALYZE subscriptions.subscription")
        for newsletter_id in (1, many_confirmed.sparse_newsletter_id):
            for cursor in (0, many_confirmed.count // 2, many_confirmed.count - 50):
                for page_rows in (1, 1_000):
                    await assert_page_is_read_from_its_index(
                        many_confirmed.database,
                        {"newsletter_id": newsletter_id, "cursor_subscriber_id": cursor, "page_rows": page_rows},
                    )


async def assert_page_is_read_from_its_index(database: Database, parameters: dict[str, int]) -> None:
    engine = engine_for(database)
    async with engine.connect() as connection:
        moment = (await connection.execute(sa.text(KEEP_TO_THE_INDEX_SQL))).one().moment
        explained = await connection.execute(
            sa.text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {PAGE_SQL}"), parameters | {"frozen_at": moment}
        )
        plan = explained.scalar_one()[0]["Plan"]
    await engine.dispose()
    assert plan["Node Type"] == "Limit"
    (scan,) = plan["Plans"]
    assert (scan["Node Type"], scan["Index Name"]) == ("Index Only Scan", "subscription_audience"), plan
    assert scan["Actual Rows"] == plan["Actual Rows"] > 0
    # From the cursor on, never from the start: one block of the heap a row at the worst, and a few of the index.
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < parameters["page_rows"] + 50, plan
