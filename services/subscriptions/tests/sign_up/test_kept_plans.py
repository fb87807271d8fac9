"""A sign-up's statements are planned once a connection, and the plan is right for tables of any size."""

from collections.abc import Iterator
from itertools import count

import pytest
import sqlalchemy as sa

from broadsheet_common.process.database import create_engine
from broadsheet_common.process.settings import PostgresUrl
from broadsheet_subscriptions.consent.evidence import Evidence
from broadsheet_subscriptions.sign_up.store import begin_sign_ups
from broadsheet_subscriptions.sign_up.subscribe import SignedUp, SignUp, parse_sign_up, subscribe_all
from harness.cluster import Database
from harness.seeding import Seed

from ..batches.test_batches import POLICY

SIGN_UPS = 10
MANY = 20_000
TABLES = ("subscriber", "subscription", "mailbox_quota", "confirmation_token", "consent_event", "unsettled_mail")


@pytest.fixture
def seed(database: Database) -> Iterator[Seed]:
    with Seed.connect(database) as seed:
        for table in TABLES:
            seed.execute(f"ALTER TABLE subscriptions.{table} SET (autovacuum_enabled = false)")
        yield seed


def _sign_ups(numbers: Iterator[int]) -> list[SignUp]:
    evidence = Evidence(source="form", ip="192.0.2.1")
    return [
        parse_sign_up(email=f"new-{next(numbers)}@example.com", name="Ada", newsletter=None, evidence=evidence)
        for _ in range(SIGN_UPS)
    ]


async def test_plans_are_kept_and_made_while_the_tables_are_empty_they_read_no_whole_table(
    database: Database, seed: Seed
) -> None:
    numbers = count()
    url = PostgresUrl.parse(database.url_for("subscriptions"))
    engine = create_engine(url, application_name="test", pool_size=1, timeout_s=30)
    seed.execute("ANALYZE")
    for size in (0, MANY):
        seed.subscribers(size)
        async with engine.begin() as connection:
            await begin_sign_ups(connection, lock_wait_max_ms=500)
            for _ in range(7):
                results = await subscribe_all(connection, _sign_ups(numbers), POLICY)
                assert all(isinstance(result, SignedUp) for result in results)
            read = await connection.execute(
                sa.text("SELECT sum(seq_tup_read) FROM pg_stat_xact_user_tables WHERE schemaname = 'subscriptions'")
            )
            assert int(read.scalar_one()) < SIGN_UPS * 20
    async with engine.connect() as connection:
        plans = await connection.execute(
            sa.text(
                "SELECT left(statement, 40), generic_plans, custom_plans FROM pg_prepared_statements "
                "WHERE statement ~ '^\\s*WITH given' OR statement ~ 'delivery[.]en'"
            )
        )
        found = plans.all()
    await engine.dispose()
    assert len(found) >= 4
    assert [(custom, generic) for _, generic, custom in found] == [(0, 14)] * len(found)
