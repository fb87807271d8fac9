"""The queries that run all day walk their index, on large tables and on fresh ones that nobody has analysed."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.process.database import create_engine
from broadsheet_common.process.settings import PostgresUrl
from broadsheet_delivery.queue.chunk_store import claimable_issues, lease_chunk
from broadsheet_delivery.queue.rescue_leases import rescue_leases
from broadsheet_delivery.queue.single_mail_store import expire_mails, lease_mails
from broadsheet_delivery.settling.finish_issues import finish_issues
from broadsheet_publishing.fan_out.store import OpenFanOut, enqueue_page
from harness.cluster import Cluster, Database
from harness.delivering import delivering
from harness.seeding import Seed

pytestmark = pytest.mark.parametrize("analysed", [True, False], ids=["analysed", "fresh"])

TABLES = ["delivery.delivery_chunk", "delivery.single_mail", "delivery.issue_run", "subscriptions.subscription"]


class Ran(msgspec.Struct, frozen=True):
    statement: str
    parameters: Any


@pytest.fixture(scope="module")
def filled(cluster: Cluster) -> Iterator[dict[bool, Database]]:
    """By whether it is analysed: 200 issues of 100 chunks, nearly all done; 20,000 single mails; as many readers."""
    with cluster.database() as analysed, cluster.database() as fresh:
        for database in (analysed, fresh):
            with Seed.connect(database) as seed:
                _fill(seed, analyse=database is analysed)
        yield {True: analysed, False: fresh}


def _fill(seed: Seed, *, analyse: bool) -> None:
    for table in TABLES:
        seed.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
    readers = seed.subscribers(20_000)
    trace = f"00-{'1' * 32}-{'2' * 16}-01"
    seed.execute(
        "INSERT INTO delivery.issue_run "
        "(issue_id, newsletter_id, traceparent, state, fan_out_finished_at, finished_at) "
        "SELECT n, 1, %s, CASE WHEN n > 197 THEN 'open' ELSE 'finished' END, now(), now() "
        "FROM generate_series(1, 200) AS n",
        (trace,),
    )
    seed.execute(
        "INSERT INTO delivery.delivery_chunk (issue_id, first_seq, last_seq, status, accepted_count) "
        "SELECT issue, n * 500 + 1, n * 500 + 500, 'done', 500 "
        "FROM generate_series(1, 200) AS issue, generate_series(0, 99) AS n"
    )
    seed.execute(
        "UPDATE delivery.delivery_chunk SET status = 'pending', accepted_count = 0 "
        "WHERE issue_id > 197 AND first_seq > 48000"
    )
    seed.execute(
        "INSERT INTO delivery.single_mail (kind, dedupe_key, to_email, status, settled_at, traceparent) "
        "SELECT 'confirmation', n, 'reader@example.com', 'accepted', now(), %s FROM generate_series(1, 20000) AS n",
        (trace,),
    )
    seed.execute(
        "INSERT INTO delivery.single_mail (kind, dedupe_key, to_email, subject, html_body, text_body, traceparent) "
        "SELECT 'confirmation', 'due' || n, 'reader@example.com', 'S', 'H', 'T', %s FROM generate_series(1, 20) AS n",
        (trace,),
    )
    assert len(readers) == 20_000
    if analyse:
        seed.execute("ANALYZE")


@asynccontextmanager
async def _recorded(engine: AsyncEngine) -> AsyncIterator[list[Ran]]:
    """The statements that are run meanwhile."""
    ran: list[Ran] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        ran.append(Ran(statement, parameters))

    sa.event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        yield ran
    finally:
        sa.event.remove(engine.sync_engine, "before_cursor_execute", note)


async def _plan(engine: AsyncEngine, ran: Ran) -> str:
    async with engine.connect() as connection:
        rows = await connection.exec_driver_sql(f"EXPLAIN {ran.statement}", ran.parameters)
        return "\n".join(str(row[0]) for row in rows)


async def _plans(database: Database, service: str, run: Callable[[AsyncConnection], Awaitable[object]]) -> str:
    engine = create_engine(
        PostgresUrl.parse(database.url_for(service)), application_name="test", pool_size=2, timeout_s=10
    )
    try:
        async with _recorded(engine) as ran, engine.connect() as connection:
            await run(connection)
            await connection.rollback()
        return "\n".join([await _plan(engine, one) for one in ran])
    finally:
        await engine.dispose()


def _assert_index(plan: str, index: str, table: str) -> None:
    assert index in plan, plan
    assert f"Seq Scan on {table}" not in plan, plan


async def test_looking_for_issues_with_work_walks_the_claimable_chunks(
    filled: dict[bool, Database], analysed: bool
) -> None:
    plan = await _plans(filled[analysed], "delivery", claimable_issues)
    _assert_index(plan, "delivery_chunk_claimable", "delivery_chunk")


async def test_the_claim_of_a_chunk_walks_the_claimable_chunks(filled: dict[bool, Database], analysed: bool) -> None:
    async def claim(connection: AsyncConnection) -> None:
        leased = await lease_chunk(connection, issue_id=199, token=uuid.uuid4(), lease=timedelta(seconds=5))
        assert leased is not None

    plan = await _plans(filled[analysed], "delivery", claim)
    _assert_index(plan, "delivery_chunk_claimable", "delivery_chunk")


async def test_the_transactional_claim_walks_its_own_index(filled: dict[bool, Database], analysed: bool) -> None:
    async def claim(connection: AsyncConnection) -> None:
        leased = await lease_mails(
            connection, part="transactional", token=uuid.uuid4(), lease=timedelta(seconds=5), limit=10
        )
        assert len(leased) == 10

    plan = await _plans(filled[analysed], "delivery", claim)
    _assert_index(plan, "single_mail_transactional", "single_mail")


async def test_expiring_mails_walks_what_is_pending(filled: dict[bool, Database], analysed: bool) -> None:
    plan = await _plans(filled[analysed], "delivery", lambda connection: expire_mails(connection, limit=100))
    _assert_index(plan, "single_mail_transactional", "single_mail")


async def test_a_page_of_the_fan_out_walks_the_audience(filled: dict[bool, Database], analysed: bool) -> None:
    async def enqueue(connection: AsyncConnection) -> None:
        fan_out = OpenFanOut(900, 1, datetime.now(UTC), 10_000)
        await connection.execute(sa.text("SELECT delivery.open_issue_run(900, 1, 'trace')"))
        page = await enqueue_page(connection, fan_out, page_rows=1_000)
        assert page.count == 1_000

    plan = await _plans(filled[analysed], "publishing", enqueue)
    _assert_index(plan, "subscription_audience", "subscription")
    assert "Sort Key: subscription.subscriber_id" not in plan, "the index gives the order"


async def test_the_check_for_unsettled_chunks_walks_their_index(filled: dict[bool, Database], analysed: bool) -> None:
    async with delivering(filled[analysed], "http://127.0.0.1:1", "token") as replica:
        engine = replica.context.engine
        async with _recorded(engine) as ran:
            assert await finish_issues(replica.context) == []
        plan = "\n".join([await _plan(engine, one) for one in ran])
    _assert_index(plan, "delivery_chunk_unsettled", "delivery_chunk")


async def test_the_rescuer_walks_the_leases(filled: dict[bool, Database], analysed: bool) -> None:
    async with delivering(filled[analysed], "http://127.0.0.1:1", "token") as replica:
        engine = replica.context.engine
        async with _recorded(engine) as ran:
            assert await rescue_leases(replica.context) == 0
        plan = "\n".join([await _plan(engine, one) for one in ran])
    _assert_index(plan, "delivery_chunk_leases", "delivery_chunk")
    _assert_index(plan, "single_mail_leases", "single_mail")
