"""The queries of a chunk do work in proportion to the chunk, also when the planner believes that tables are empty.

Statistics are stale just when an issue begins: the tables were last analysed before it was enqueued. Measured in rows
that the plan touched, not in time.
"""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.process.database import create_engine
from broadsheet_common.process.settings import PostgresUrl
from broadsheet_delivery.queue.chunk_store import (
    LeasedChunk,
    Settled,
    end_attempt,
    insert_outcomes,
    no_longer_sendable,
    unsettled_recipients,
)
from broadsheet_delivery.queue.outcome import Accepted
from broadsheet_delivery.queue.recipient import UsedValues
from broadsheet_delivery.queue.single_mail_store import newsletter_recipients
from harness.cluster import Cluster, Database
from harness.seeding import DEFAULT_NEWSLETTER_ID, Seed

READERS = 40_000
CHUNK = 500
# Each delivery of the chunk is met in about ten nodes of the plan.
ROWS_TOUCHED_MAX = CHUNK * 30
USED = [UsedValues(), UsedValues(tags=True, attributes=("city", "age"))]

TABLES = (
    "delivery.delivery_part_default",
    "delivery.delivery_outcome_part_default",
    "delivery.delivery_chunk",
    "delivery.single_mail",
    "delivery.suppression",
    "subscriptions.subscriber",
    "subscriptions.subscription",
)


@pytest.fixture(scope="module", params=[False, True], ids=["default-partition", "own-partitions"])
def stale(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Database]:
    """An issue to 40,000, half of it settled, in tables that were analysed while they were empty, if at all."""
    with cluster.database() as database, Seed.connect(database) as seed:
        for table in TABLES:
            seed.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
        seed.execute("ANALYZE")
        issue_id = seed.published_issue(seed.subscribers(READERS), own_partitions=request.param)
        for (partition,) in seed.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent IN "
            "('delivery.delivery'::regclass, 'delivery.delivery_outcome'::regclass)"
        ):
            seed.execute(f"ALTER TABLE {partition} SET (autovacuum_enabled = false)")
        seed.execute(
            "INSERT INTO delivery.delivery_outcome (issue_id, seq, outcome) "
            "SELECT %s, n, 'accepted' FROM generate_series(1, %s) AS n",
            (issue_id, READERS // 2),
        )
        seed.execute(
            "UPDATE delivery.delivery_chunk SET status = 'done', accepted_count = 500 WHERE last_seq <= %s",
            (READERS // 2,),
        )
        seed.execute(
            "INSERT INTO delivery.suppression SELECT 'broadcast', 'gone-' || n, 'It bounced.', 'test' "
            "FROM generate_series(1, 20000) AS n"
        )
        yield database


@pytest.fixture
async def engine(stale: Database) -> AsyncIterator[AsyncEngine]:
    made = create_engine(
        PostgresUrl.parse(stale.url_for("delivery")), application_name="test", pool_size=1, timeout_s=30
    )
    yield made
    await made.dispose()


@pytest.fixture
async def chunk(engine: AsyncEngine) -> LeasedChunk:
    """One in the middle of what is not settled."""
    async with engine.connect() as connection:
        row = (
            await connection.execute(
                sa.text(
                    "SELECT id, issue_id, first_seq, last_seq FROM delivery.delivery_chunk WHERE first_seq = :first_seq"
                ),
                {"first_seq": READERS * 3 // 4 + 1},
            )
        ).one()
    return LeasedChunk(
        id=row.id,
        issue_id=row.issue_id,
        newsletter_id=DEFAULT_NEWSLETTER_ID,
        first_seq=row.first_seq,
        last_seq=row.last_seq,
        attempt_count=0,
        token=uuid.uuid4(),
        traceparent="",
    )


def _rows_touched(node: dict[str, Any]) -> int:
    own = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Join Filter", 0)) * (
        node["Actual Loops"]
    )
    return int(own) + sum(_rows_touched(child) for child in node.get("Plans", []))


async def _touched_by(engine: AsyncEngine, run: Callable[[AsyncConnection], Awaitable[object]]) -> tuple[int, str]:
    """Rows that the plans of all statements touched, and the plans; everything is rolled back."""
    ran: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        ran.append((statement, parameters))

    async with engine.connect() as connection:
        sa.event.listen(engine.sync_engine, "before_cursor_execute", note)
        await run(connection)
        sa.event.remove(engine.sync_engine, "before_cursor_execute", note)
        await connection.rollback()
        total, plans = 0, ""
        for statement, parameters in ran:
            answer = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
            [plan] = answer.scalar_one()
            total += _rows_touched(plan["Plan"])
            plans += f"{statement}\n{plan}\n"
            await connection.rollback()
    return total, plans


@pytest.mark.parametrize("used", USED, ids=["name and address", "tags and attributes"])
async def test_reading_a_chunks_recipients(engine: AsyncEngine, chunk: LeasedChunk, used: UsedValues) -> None:
    async def read(connection: AsyncConnection) -> None:
        assert len(await unsettled_recipients(connection, chunk, stream="broadcast", used=used)) == CHUNK

    touched, plans = await _touched_by(engine, read)
    assert touched < ROWS_TOUCHED_MAX, plans


async def test_the_look_before_the_call(engine: AsyncEngine, chunk: LeasedChunk) -> None:
    async def look(connection: AsyncConnection) -> None:
        gone = await no_longer_sendable(
            connection,
            newsletter_id=DEFAULT_NEWSLETTER_ID,
            stream="broadcast",
            subscriber_ids=list(range(chunk.first_seq, chunk.last_seq + 1)),
        )
        assert gone == {}

    touched, plans = await _touched_by(engine, look)
    assert touched < ROWS_TOUCHED_MAX, plans


async def test_writing_a_chunks_outcomes_and_counting_them(engine: AsyncEngine, chunk: LeasedChunk) -> None:
    async def write(connection: AsyncConnection) -> None:
        settled = [Settled(seq, Accepted(uuid.uuid4())) for seq in range(chunk.first_seq, chunk.last_seq + 1)]
        await insert_outcomes(connection, issue_id=chunk.issue_id, attempt_id=None, settled=settled)
        await end_attempt(connection, chunk, status="pending", wait_s=0.0)

    touched, plans = await _touched_by(engine, write)
    assert touched < ROWS_TOUCHED_MAX, plans


@pytest.mark.parametrize("used", USED, ids=["name and address", "tags and attributes"])
async def test_reading_the_recipients_of_mails_that_go_alone(
    engine: AsyncEngine, chunk: LeasedChunk, used: UsedValues
) -> None:
    async def read(connection: AsyncConnection) -> None:
        found = await newsletter_recipients(
            connection,
            issue_id=chunk.issue_id,
            newsletter_id=DEFAULT_NEWSLETTER_ID,
            stream="broadcast",
            seqs=list(range(chunk.first_seq, chunk.first_seq + 100)),
            used=used,
        )
        assert len(found) == 100

    touched, plans = await _touched_by(engine, read)
    assert touched < ROWS_TOUCHED_MAX, plans
