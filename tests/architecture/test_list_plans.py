"""A page of the list of subscribers does work in proportion to the page, on analysed tables and on fresh ones.

Measured in rows that the plans touched, not in time; and each order is walked by the index that was made for it.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.process.database import create_engine
from broadsheet_common.process.settings import PostgresUrl
from broadsheet_subscriptions.segments.filter import Any_
from broadsheet_subscriptions.subscribers.list_subscribers import CANDIDATES_MAX, Wanted, list_subscribers
from harness.cluster import Cluster, Database
from harness.seeding import Seed

PEOPLE = 30_000
PAGE = 50
# A row of a page is met in a few nodes of the plan.
ROWS_TOUCHED_MAX = PAGE * 12


@pytest.fixture(scope="module", params=[True, False], ids=["analysed", "fresh"])
def filled(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Database]:
    """Half have a common tag, one in a thousand a rare one, the oldest tenth one of their own; two newsletters."""
    with cluster.database() as database, Seed.connect(database) as seed:
        for table in ("subscriber", "subscription", "subscriber_tag"):
            seed.execute(f"ALTER TABLE subscriptions.{table} SET (autovacuum_enabled = false)")
        seed.execute("INSERT INTO publishing.newsletter (slug, name, postal_address) VALUES ('second', 'Second', 'x')")
        seed.execute(
            f"""
            INSERT INTO subscriptions.subscriber (email, email_key, name, tags)
            SELECT 'reader-' || n || '@example.com', 'reader-' || n || '@example.com',
                   'Reader ' || chr(97 + n % 26) || n,
                   array_remove(ARRAY[CASE WHEN n % 2 = 0 THEN 'common' END, CASE WHEN n % 1000 = 7 THEN 'rare' END,
                                      CASE WHEN n <= {PEOPLE // 10} THEN 'old' END], NULL)
              FROM generate_series(1, {PEOPLE}) AS n
            """.replace("%", "%%")
        )
        seed.execute(
            """
            INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id, state, confirmed_at, unsubscribed_at)
            SELECT newsletter, id, CASE WHEN id % 500 = 0 THEN 'unsubscribed' WHEN id % 20 = 1 THEN 'pending'
                                        ELSE 'confirmed' END, now(), now()
              FROM subscriptions.subscriber, unnest(ARRAY[1, 2]) AS newsletter WHERE newsletter = 1 OR id % 100 = 0
            """.replace("%", "%%")
        )
        if request.param:
            seed.execute("ANALYZE")
        yield database


@pytest.fixture
async def engine(filled: Database) -> AsyncIterator[AsyncEngine]:
    made = create_engine(
        PostgresUrl.parse(filled.url_for("subscriptions")), application_name="test", pool_size=1, timeout_s=30
    )
    yield made
    await made.dispose()


class Touched(msgspec.Struct, frozen=True):
    rows: int
    plans: str
    found: int
    has_more: bool


def _rows_touched(node: dict[str, Any]) -> int:
    own = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Join Filter", 0)) * (
        node["Actual Loops"]
    )
    return int(own) + sum(_rows_touched(child) for child in node.get("Plans", []))


async def _touched_by(engine: AsyncEngine, wanted: Wanted, cursor: str | None) -> tuple[Touched, str | None]:
    """What a page cost, and the cursor of the next one."""
    ran: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        ran.append((statement, parameters))

    async with engine.connect() as connection:
        sa.event.listen(engine.sync_engine, "before_cursor_execute", note)
        page = await list_subscribers(connection, wanted, cursor=cursor, limit=PAGE)
        sa.event.remove(engine.sync_engine, "before_cursor_execute", note)
        total, plans = 0, ""
        for statement, parameters in ran:
            if "set_config" in statement:
                continue
            # In the same transaction, where what list_subscribers told the planner holds.
            answer = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
            [plan] = answer.scalar_one()
            total += _rows_touched(plan["Plan"])
            plans += f"{statement}\n{plan}\n"
    return Touched(total, plans, len(page.ids), page.next_cursor is not None), page.next_cursor


WALKS: list[tuple[str, Wanted, str]] = [
    ("newest", Wanted(), "subscriber_pkey"),
    ("address", Wanted(email_key="reader-7@example.com"), "subscriber_email_key_key"),
    ("newsletter", Wanted(newsletter_id=2), "subscription_audience"),
    ("confirmed", Wanted(newsletter_id=1, state="confirmed"), "subscription_audience"),
    ("confirmed-sparse", Wanted(newsletter_id=2, state="confirmed"), "subscription_audience"),
    ("pending", Wanted(newsletter_id=1, state="pending"), "subscription_unconfirmed"),
    ("unsubscribed", Wanted(newsletter_id=1, state="unsubscribed"), "subscription_unconfirmed"),
    ("pending-anywhere", Wanted(state="pending"), "subscription_unconfirmed"),
    ("confirmed-anywhere", Wanted(state="confirmed"), "subscription_audience"),
    ("common-tag", Wanted(tag="common"), "subscriber_tag_pkey"),
    ("rare-tag", Wanted(tag="rare"), "subscriber_tag_pkey"),
    ("clustered-tag", Wanted(tag="old"), "subscriber_tag_pkey"),
    ("address-prefix", Wanted(email_prefix="reader"), "subscriber_email_key_key"),
    ("address-prefix-narrow", Wanted(email_prefix="reader-777"), "subscriber_email_key_key"),
    ("name-prefix", Wanted(name_prefix="re"), "subscriber_by_name"),
    ("last-name-prefix", Wanted(name_prefix="b"), "subscriber_by_last_name"),
]


@pytest.mark.parametrize(("wanted", "index"), [walk[1:] for walk in WALKS], ids=[walk[0] for walk in WALKS])
async def test_a_page_and_the_next_one_walk_their_index(engine: AsyncEngine, wanted: Wanted, index: str) -> None:
    first, cursor = await _touched_by(engine, wanted, None)
    assert first.found > 0
    assert f"'{index}'" in first.plans, first.plans
    assert first.rows < ROWS_TOUCHED_MAX, first.plans
    if cursor is not None:
        second, _ = await _touched_by(engine, wanted, cursor)
        assert second.found > 0 or not second.has_more
        assert second.rows < ROWS_TOUCHED_MAX, second.plans


async def test_a_page_of_which_nobody_fits_is_bounded_too(engine: AsyncEngine) -> None:
    """The filter is looked at for so many candidates, whatever it is."""
    page, cursor = await _touched_by(engine, Wanted(matching=Any_(())), None)
    assert (page.found, cursor is not None) == (0, True)
    assert page.rows < CANDIDATES_MAX * 6, page.plans
