"""The statements of common changes are planned once a connection, and the plan is right for tables of any size."""

from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import Identity
from broadsheet_common.contracts.link_token import LinkSigner
from broadsheet_common.process.database import create_engine
from broadsheet_common.process.settings import PostgresUrl
from broadsheet_subscriptions.batches.write_batch import Batch, write_batch
from broadsheet_subscriptions.consent.evidence import Evidence
from broadsheet_subscriptions.leaving.unsubscribe import unsubscribe_by_link, unsubscribe_subscriber
from broadsheet_subscriptions.sign_up.confirm import confirm
from broadsheet_subscriptions.sign_up.subscribe import SignedUp, SignUp, parse_sign_up, subscribe_all
from broadsheet_subscriptions.subscribers.change_source import begin_change
from harness.cluster import Database
from harness.keys import LINK_SIGNING_KEYS
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


EVIDENCE = Evidence(source="form", ip="192.0.2.1")


def _sign_ups(numbers: Iterator[int]) -> list[SignUp]:
    return [
        parse_sign_up(email=f"new-{next(numbers)}@example.com", name="Ada", newsletter=None, evidence=EVIDENCE)
        for _ in range(SIGN_UPS)
    ]


CALLER = Identity("key:1", frozenset({"subscribers:write"}))


class Uses:
    """The changes that people make all the time, each in a transaction of its own."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._numbers = count()
        self._tokens = count()
        self._policy = msgspec.structs.replace(POLICY, token_source=lambda: f"token-{next(self._tokens)}")
        self._confirmed = count()
        self._subscribers: list[int] = []
        self._left = count()
        self._signer = LinkSigner.parse(LINK_SIGNING_KEYS.reveal())

    async def sign_up(self) -> None:
        async with self._engine.begin() as connection:
            await begin_change(connection, "sign_up", lock_wait_max_ms=500)
            results = await subscribe_all(connection, _sign_ups(self._numbers), self._policy)
        for result in results:
            assert isinstance(result, SignedUp)
            self._subscribers.append(result.subscriber.id)

    async def confirm(self) -> None:
        async with self._engine.begin() as connection:
            linked = await confirm(connection, f"token-{next(self._confirmed)}", EVIDENCE)
        assert linked.state == "confirmed"

    async def leave(self) -> None:
        # In a new database, ids of subscribers and of their first subscriptions are the same.
        token = self._signer.sign("unsubscribe", self._subscribers[next(self._left)])
        async with self._engine.begin() as connection:
            linked = await unsubscribe_by_link(connection, self._signer, token, issue_id=1)
        assert linked.state == "unsubscribed"

    async def unsubscribe(self) -> None:
        async with self._engine.begin() as connection:
            await unsubscribe_subscriber(connection, subscriber_id=self._subscribers[0], newsletter_id=None)

    async def batch(self) -> None:
        created: list[Any] = [
            {"create": {"email": f"batch-{next(self._numbers)}@example.com", "name": "Ada", "tags": ["a"]}}
            for _ in range(SIGN_UPS)
        ]
        changed: list[Any] = [{"change": {"id": one, "name": "Ada"}} for one in self._subscribers[:SIGN_UPS]]
        results = await write_batch(self._engine, Batch(CALLER, self._policy, None), created + changed)
        assert {result.status for result in results} == {201, 200}

    async def rows_read_of_whole_tables(self) -> dict[str, int]:
        async with self._engine.begin() as connection:
            await connection.execute(sa.text("SELECT pg_stat_force_next_flush()"))
        async with self._engine.begin() as connection:
            read = await connection.execute(
                sa.text("SELECT relname, seq_tup_read FROM pg_stat_user_tables WHERE schemaname = 'subscriptions'")
            )
            return {name: rows for name, rows in read.all() if rows}


@pytest.mark.parametrize(
    ("use", "statements"), [("sign_up", 4), ("confirm", 2), ("leave", 3), ("unsubscribe", 3), ("batch", 8)]
)
async def test_plans_are_kept_and_made_while_the_tables_are_empty_they_read_no_whole_table(
    database: Database, seed: Seed, use: str, statements: int
) -> None:
    url = PostgresUrl.parse(database.url_for("subscriptions"))
    engine = create_engine(url, application_name="test", pool_size=1, timeout_s=30)
    uses = Uses(engine)
    once: Callable[[], Awaitable[None]] = getattr(uses, use)
    seed.execute("ANALYZE")
    for _ in range(2):
        await uses.sign_up()
    await engine.dispose()  # with the plans so far
    for size in (0, MANY):
        seed.subscribers(size)
        before = await uses.rows_read_of_whole_tables()
        for _ in range(7):
            await once()
        assert await uses.rows_read_of_whole_tables() == before
    async with engine.connect() as connection:
        plans = await connection.execute(
            sa.text(
                # `set_config` is what keeps them; and the driver's own statements are run a few times.
                "SELECT left(statement, 40), generic_plans, custom_plans FROM pg_prepared_statements "
                "WHERE statement ~ '[$]1' AND statement !~ 'set_config' AND generic_plans + custom_plans >= 14"
            )
        )
        found = plans.all()
    await engine.dispose()
    assert len(found) >= statements
    assert [custom for _, _, custom in found] == [0] * len(found)
