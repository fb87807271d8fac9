"""A large issue gets partitions of its own before its first delivery, and never waits long for them."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_publishing.fan_out.fan_out import Enqueued, Finished, Prepared, fan_out_step

from .conftest import PublishingOwner, steps_until_finished


def partition_of(owner: PublishingOwner, issue_id: int, parent: str = "delivery") -> list[str]:
    """The partitions that hold the issue's deliveries (by which table each row lies in)."""
    rows = owner.rows(f"SELECT DISTINCT tableoid::regclass::text FROM delivery.{parent} WHERE issue_id = %s", issue_id)
    return [row[0] for row in rows]


def leftovers(owner: PublishingOwner) -> list[tuple[str]]:
    """Constraints and tables that a way back must not leave."""
    return owner.rows(
        "SELECT conname::text FROM pg_constraint WHERE conname LIKE 'not_issue_%%' "
        "UNION ALL SELECT relname::text FROM pg_class WHERE relname ~ '_part_[0-9]+$' AND relkind = 'r' "
        "AND NOT relispartition"
    )


@contextmanager
def busy(owner: PublishingOwner, table: str) -> Iterator[None]:
    """Somebody has read from the table and not ended their transaction."""
    with psycopg.connect(owner.owner_url) as connection:
        connection.execute(f"SELECT count(*) FROM {table}".encode())
        yield


async def test_a_large_issue_gets_partitions_and_everybody_is_enqueued(
    engine: AsyncEngine, owner: PublishingOwner
) -> None:
    owner.add_confirmed(25)
    issue_id = owner.add_published_issue()
    steps = await steps_until_finished(engine)
    assert steps == [
        *[Prepared(issue_id)] * 2,
        Enqueued(issue_id, 10),
        Enqueued(issue_id, 10),
        Finished(issue_id, 5),
    ]
    assert partition_of(owner, issue_id) == [f"delivery.delivery_part_{issue_id}"]
    assert owner.enqueued(issue_id) == owner.audience()
    owner.rows("INSERT INTO delivery.delivery_outcome (issue_id, seq, outcome) VALUES (%s, 1, 'accepted')", issue_id)
    assert partition_of(owner, issue_id, "delivery_outcome") == [f"delivery.delivery_outcome_part_{issue_id}"]
    assert leftovers(owner) == []


async def test_a_partition_has_the_keys_of_its_parent(engine: AsyncEngine, owner: PublishingOwner) -> None:
    owner.add_confirmed(25)
    owner.add_published_issue()
    await steps_until_finished(engine)
    for column in ("seq", "subscriber_id"):
        other = "subscriber_id" if column == "seq" else "seq"
        with pytest.raises(psycopg.errors.UniqueViolation):
            owner.rows(
                f"INSERT INTO delivery.delivery (issue_id, {column}, {other}) "
                f"SELECT issue_id, {column}, 999999 FROM delivery.delivery WHERE seq = 1"
            )


async def test_a_small_issue_shares_the_default_partition(engine: AsyncEngine, owner: PublishingOwner) -> None:
    owner.add_confirmed(20)
    issue_id = owner.add_published_issue()
    steps = await steps_until_finished(engine)
    assert Prepared(issue_id) not in steps
    assert partition_of(owner, issue_id) == ["delivery.delivery_part_default"]


@pytest.mark.parametrize("stages", [0, 1, 2])
async def test_where_a_lock_does_not_come_the_default_partition_serves(
    engine: AsyncEngine, owner: PublishingOwner, stages: int
) -> None:
    """At each stage of the way, another's transaction holds a table that it needs."""
    owner.add_confirmed(25)
    issue_id = owner.add_published_issue()
    for _ in range(stages):
        assert await fan_out_step(engine, page_rows=10, partition_above=20) == Prepared(issue_id)
    with owner.locked("LOCK TABLE delivery.delivery_part_default IN SHARE UPDATE EXCLUSIVE MODE"):
        step = await fan_out_step(engine, page_rows=10, partition_above=20)
        if stages == 0:
            assert step == Enqueued(issue_id, 10), "nothing was begun, so nothing has to be taken back"
        else:
            assert step == Prepared(issue_id)
            assert await fan_out_step(engine, page_rows=10, partition_above=20) == Prepared(issue_id)
    await steps_until_finished(engine)
    assert partition_of(owner, issue_id) == ["delivery.delivery_part_default"]
    assert owner.enqueued(issue_id) == owner.audience()
    assert leftovers(owner) == []


async def test_an_audience_that_shrinks_meanwhile_is_enqueued_all_the_same(
    engine: AsyncEngine, owner: PublishingOwner
) -> None:
    owner.add_confirmed(25)
    issue_id = owner.add_published_issue()
    assert await fan_out_step(engine, page_rows=10, partition_above=20) == Prepared(issue_id)
    owner.rows(
        "UPDATE subscriptions.subscription SET state = 'unsubscribed', unsubscribed_at = now() "
        "WHERE subscriber_id = ANY (%s)",
        owner.audience()[:10],
    )
    await steps_until_finished(engine)
    assert owner.enqueued(issue_id) == owner.audience()
    assert leftovers(owner) == []


async def test_an_open_reader_holds_nobody_up(engine: AsyncEngine, owner: PublishingOwner) -> None:
    """A long report over the deliveries: the fan-out goes on in the default partition."""
    owner.add_confirmed(25)
    issue_id = owner.add_published_issue()
    with busy(owner, "delivery.delivery"):
        await steps_until_finished(engine)
    assert partition_of(owner, issue_id) == ["delivery.delivery_part_default"]
    assert owner.enqueued(issue_id) == owner.audience()
