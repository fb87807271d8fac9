"""The read that clients make most often is not planned anew each time."""

import sqlalchemy as sa

from broadsheet_subscriptions.subscribers.store import read_shown
from harness.cluster import Database

from ..conftest import Subscriptions, engine_for


async def test_postgres_keeps_the_plan_of_one_subscribers_read(
    subscriptions: Subscriptions, database: Database
) -> None:
    for number in range(3):
        await subscriptions.sign_up(f"reader-{number}@example.com")
    ids = [subscriber_id for (subscriber_id,) in subscriptions.rows("SELECT id FROM subscriptions.subscriber")]
    engine = engine_for(database)
    async with engine.connect() as connection:
        for _ in range(4):
            for subscriber_id in ids:
                assert list(await read_shown(connection, [subscriber_id])) == [subscriber_id]
        assert sorted(await read_shown(connection, ids)) == sorted(ids)
        kept = await connection.execute(
            sa.text(
                "SELECT generic_plans FROM pg_prepared_statements "
                "WHERE strpos(statement, 'person.id = CAST(') > 0 AND strpos(statement, 'pg_prepared') = 0"
            )
        )
        # Postgres tries the first five with their own values.
        assert kept.scalar_one() == 4 * len(ids) - 5
    await engine.dispose()
