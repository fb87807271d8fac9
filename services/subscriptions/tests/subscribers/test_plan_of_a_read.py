"""The read that clients make most often is not planned anew each time."""

import asyncio

import pytest
import sqlalchemy as sa

from broadsheet_common.http.problems import NotFoundError
from broadsheet_subscriptions.subscribers.show_subscriber import SubscriberReader
from broadsheet_subscriptions.subscribers.store import FEW, read_shown
from harness.cluster import Database

from ..conftest import Subscriptions, engine_for


async def made(subscriptions: Subscriptions, count: int) -> list[int]:
    for number in range(count):
        await subscriptions.sign_up(f"reader-{number}@example.com")
    return [subscriber_id for (subscriber_id,) in subscriptions.rows("SELECT id FROM subscriptions.subscriber")]


@pytest.mark.parametrize(("size", "statement"), [(1, "person.id = CAST("), (2, "person.id = wanted.id")])
async def test_postgres_keeps_the_plan_of_the_read_of_one_and_of_a_few(
    subscriptions: Subscriptions, database: Database, size: int, statement: str
) -> None:
    ids = await made(subscriptions, 3)
    engine = engine_for(database)
    async with engine.connect() as connection:
        for round_ in range(12):
            wanted = [ids[(round_ + place) % 3] for place in range(size)]
            assert sorted(await read_shown(connection, wanted)) == sorted(wanted)
        kept = await connection.execute(
            sa.text(
                "SELECT generic_plans FROM pg_prepared_statements "
                "WHERE strpos(statement, :part) > 0 AND strpos(statement, 'pg_prepared') = 0"
            ),
            {"part": statement},
        )
        # Postgres tries the first five with their own values.
        assert kept.scalar_one() == 12 - 5
    await engine.dispose()


async def test_one_a_few_and_many_are_read_alike(subscriptions: Subscriptions, database: Database) -> None:
    ids = await made(subscriptions, FEW + 1)
    subscriptions.rows("UPDATE subscriptions.subscriber SET tags = ARRAY['a', 'b'] WHERE id %% 2 = 0")
    engine = engine_for(database)
    async with engine.connect() as connection:
        many = await read_shown(connection, ids)
        assert list(many) == ids
        assert {place: await read_shown(connection, [place]) for place in ids} == {
            place: {place: many[place]} for place in ids
        }
        assert await read_shown(connection, ids[:FEW]) == {place: many[place] for place in ids[:FEW]}
        twice_and_missing = [ids[0], ids[1], ids[0], 2**40]
        assert await read_shown(connection, twice_and_missing) == {place: many[place] for place in ids[:2]}
    await engine.dispose()


async def test_reads_at_once_each_get_their_own(subscriptions: Subscriptions, database: Database) -> None:
    ids = await made(subscriptions, 3)
    engine = engine_for(database)
    reader = SubscriberReader(engine)
    wanted = [*ids, 2**40, *ids * 5]
    answers = await asyncio.gather(*(reader.show(one, allowed=None) for one in wanted), return_exceptions=True)
    assert [getattr(answer, "id", None) for answer in answers] == [*ids, None, *ids * 5]
    assert isinstance(answers[3], NotFoundError)
    with pytest.raises(NotFoundError):
        await reader.show(ids[0], allowed=frozenset({2**40}))
    await engine.dispose()
