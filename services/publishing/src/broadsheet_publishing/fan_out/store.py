"""The SQL of audiences and fan-outs: plain functions that take the connection of the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection


class AbTestShare(msgspec.Struct, frozen=True):
    """`share_percent` of the audience are in the test, an equal part of them for each variant."""

    variant_count: int
    share_percent: int


class OpenFanOut(msgspec.Struct, frozen=True):
    """A fan-out with work left, locked by this transaction."""

    issue_id: int
    newsletter_id: int
    frozen_at: datetime
    cursor_subscriber_id: int
    is_segmented: bool = False
    ab_test: AbTestShare | None = None
    has_waves: bool = False


class EnqueuedPage(msgspec.Struct, frozen=True):
    """How many subscribers one step enqueued, and the last one's id (None for an empty page)."""

    count: int
    last_subscriber_id: int | None


KEEP_TO_THE_INDEX_SQL = """
    SELECT now() AS moment,
           set_config('enable_sort', 'off', true),
           set_config('enable_bitmapscan', 'off', true),
           set_config('enable_seqscan', 'off', true)
"""
"""For this transaction: the planner must not collect and sort the whole rest of the audience for one page, which it
does on a table that was not analysed yet.
"""


PAGE_SQL = """
    SELECT subscriber_id
      FROM subscriptions.published_audience
     WHERE (newsletter_id, subscriber_id) > (:newsletter_id, :cursor_subscriber_id)
       AND newsletter_id <= :newsletter_id AND confirmed_at <= :frozen_at
     ORDER BY newsletter_id, subscriber_id, confirmed_at
     LIMIT :page_rows
"""
"""The audience after the cursor, written for the index `subscription_audience`: bounds instead of `newsletter_id =
…`, and all its columns in the order, so that no other index fits.
"""


SEGMENT_PAGE_SQL = f"""
    SELECT audience.subscriber_id
      FROM ({PAGE_SQL.replace("LIMIT :page_rows", "")}) AS audience
      JOIN subscriptions.published_audience_blocks AS block
        ON block.issue_id = :issue_id AND block.block = audience.subscriber_id / 8192
     WHERE get_bit(block.members, CAST(audience.subscriber_id % 8192 AS integer)) = 1
     ORDER BY audience.subscriber_id
     LIMIT :page_rows
"""
"""The same, limited to the issue's frozen segment: bit n of block b is subscriber b * 8192 + n."""


_WHOLE_SQL = """
    SELECT audience.subscriber_id
      FROM subscriptions.published_audience AS audience
     WHERE audience.newsletter_id = :newsletter_id AND audience.confirmed_at <= :frozen_at
"""
_WHOLE_SEGMENT_SQL = """
    SELECT audience.subscriber_id
      FROM subscriptions.published_audience AS audience
      JOIN subscriptions.published_audience_blocks AS block
        ON block.issue_id = :issue_id AND block.block = audience.subscriber_id / 8192
     WHERE audience.newsletter_id = :newsletter_id AND audience.confirmed_at <= :frozen_at
       AND get_bit(block.members, CAST(audience.subscriber_id % 8192 AS integer)) = 1
"""


def whole_audience_sql(*, is_segmented: bool) -> str:
    """What all pages hold together, in no order, to be counted before there is a fan-out. With the bounds of pages the
    planner would expect one row, and look up each of a million on its own.
    """
    return _WHOLE_SEGMENT_SQL if is_segmented else _WHOLE_SQL


async def has_audience(connection: AsyncConnection, newsletter_id: int) -> bool:
    """Whether anybody is confirmed on the newsletter at this transaction's time."""
    moment = (await connection.execute(sa.text(KEEP_TO_THE_INDEX_SQL))).one().moment
    result = await connection.execute(
        sa.text(PAGE_SQL),
        {"newsletter_id": newsletter_id, "frozen_at": moment, "cursor_subscriber_id": 0, "page_rows": 1},
    )
    return result.first() is not None


def _page_sql(fan_out: OpenFanOut) -> str:
    return SEGMENT_PAGE_SQL if fan_out.is_segmented else PAGE_SQL


def _issue_of(fan_out: OpenFanOut) -> dict[str, object]:
    """The additional parameter of SEGMENT_PAGE_SQL."""
    return {"issue_id": fan_out.issue_id} if fan_out.is_segmented else {}


async def has_more_than(connection: AsyncConnection, fan_out: OpenFanOut, *, count: int) -> bool:
    """Whether the fan-out has more subscribers than `count` before it."""
    await connection.execute(sa.text(KEEP_TO_THE_INDEX_SQL))
    result = await connection.execute(
        sa.text(f"SELECT count(*) > :count FROM ({_page_sql(fan_out)}) AS page").bindparams(
            sa.bindparam("frozen_at", type_=sa.DateTime(timezone=True)), sa.bindparam("count", type_=sa.BigInteger)
        ),  # a constant
        {
            **_issue_of(fan_out),
            "newsletter_id": fan_out.newsletter_id,
            "frozen_at": fan_out.frozen_at,
            "cursor_subscriber_id": fan_out.cursor_subscriber_id,
            "page_rows": count + 1,
            "count": count,
        },
    )
    return bool(result.scalar_one())


async def lock_open_fan_out(connection: AsyncConnection, *, resting_issue_ids: Sequence[int]) -> OpenFanOut | None:
    """One that no other worker has locked, and whose audience is known.

    The least advanced first, so that a small issue does not wait for a large one.
    """
    result = await connection.execute(
        sa.text("""
            WITH chosen AS MATERIALIZED (
                SELECT issue_id, frozen_at, cursor_subscriber_id, is_segmented
                  FROM publishing.fan_out
                 WHERE finished_at IS NULL AND issue_id <> ALL(CAST(:resting_issue_ids AS bigint[]))
                   AND (NOT is_segmented OR EXISTS (
                        SELECT FROM subscriptions.published_complete_audiences AS complete
                         WHERE complete.issue_id = fan_out.issue_id))
                 ORDER BY enqueued_count, issue_id
                 LIMIT 1
                   FOR UPDATE SKIP LOCKED)
            SELECT chosen.issue_id, issue.newsletter_id, chosen.frozen_at, chosen.cursor_subscriber_id,
                   chosen.is_segmented, test.variant_count, test.share_percent,
                   EXISTS (SELECT FROM publishing.wave WHERE wave.issue_id = chosen.issue_id) AS has_waves
              FROM chosen
              JOIN publishing.issue ON issue.id = chosen.issue_id
              LEFT JOIN publishing.ab_test AS test ON test.issue_id = chosen.issue_id
        """),
        {"resting_issue_ids": list(resting_issue_ids)},
    )
    row = result.one_or_none()
    if row is None:
        return None
    test = None if row.variant_count is None else AbTestShare(row.variant_count, row.share_percent)
    return OpenFanOut(
        row.issue_id,
        row.newsletter_id,
        row.frozen_at,
        row.cursor_subscriber_id,
        is_segmented=row.is_segmented,
        ab_test=test,
        has_waves=row.has_waves,
    )


_ONE_VARIANT_SQL = "1"
_VARIANT_SQL = """
    CASE WHEN draw.place < test.parts THEN 1 + draw.place * test.variants / test.parts ELSE 0 END"""
_TEST_SQL = """
    CROSS JOIN (
        SELECT CAST(:share_percent AS integer) * 100 AS parts, CAST(:variant_count AS integer) AS variants
    ) AS test
    CROSS JOIN LATERAL (
        SELECT CAST((hashint8extended(page.subscriber_id, :issue_id) & 9223372036854775807) % 10000 AS integer)
    ) AS draw (place)"""
"""Who is in the test, and which variant they get, follows from a hash of issue and subscriber. 0: the winner's."""
_WAVE_SQL = """
    LEFT JOIN subscriptions.published_time_zones AS clock ON clock.subscriber_id = page.subscriber_id
    LEFT JOIN publishing.wave_zone AS zone ON zone.issue_id = :issue_id AND zone.time_zone = clock.time_zone
    JOIN publishing.wave AS fallback ON fallback.issue_id = :issue_id AND fallback.is_fallback
    JOIN publishing.wave AS wave
      ON wave.issue_id = :issue_id AND wave.number = coalesce(zone.number, fallback.number)"""


_WHOLE_PART_SQL = """
             part AS MATERIALIZED (
                SELECT CAST(1 AS smallint) AS variant, CAST(NULL AS smallint) AS wave,
                       CAST(NULL AS timestamptz) AS due_at,
                       array_agg(subscriber_id ORDER BY subscriber_id) AS subscriber_ids
                  FROM page HAVING count(*) > 0)"""
"""The page undivided, as most issues are sent: without the sorting and grouping of the other."""


def _divided_sql(fan_out: OpenFanOut) -> str:
    """The page, split by variant and wave."""
    variant = _ONE_VARIANT_SQL if fan_out.ab_test is None else _VARIANT_SQL
    wave, due_at = ("wave.number", "wave.due_at") if fan_out.has_waves else ("NULL", "NULL")
    return f"""
             placed AS MATERIALIZED (
                SELECT page.subscriber_id, CAST({variant} AS smallint) AS variant, CAST({wave} AS smallint) AS wave,
                       CAST({due_at} AS timestamptz) AS due_at
                  FROM page {_TEST_SQL if fan_out.ab_test else ""} {_WAVE_SQL if fan_out.has_waves else ""}),
             part AS MATERIALIZED (
                SELECT variant, wave, due_at, array_agg(subscriber_id ORDER BY subscriber_id) AS subscriber_ids
                  FROM placed GROUP BY variant, wave, due_at)"""


def _parts_sql(fan_out: OpenFanOut) -> str:
    is_divided = fan_out.ab_test is not None or fan_out.has_waves
    return f"""
        WITH page AS MATERIALIZED ({_page_sql(fan_out)}),{_divided_sql(fan_out) if is_divided else _WHOLE_PART_SQL}
        SELECT wave, subscriber_ids[cardinality(subscriber_ids)] AS last_id,
               delivery.enqueue_part(:issue_id, subscriber_ids, variant, due_at) AS enqueued
          FROM part
    """


async def enqueue_page(connection: AsyncConnection, fan_out: OpenFanOut, *, page_rows: int) -> EnqueuedPage:
    """Enqueue the next subscribers of the audience, and move the cursor behind them."""
    await connection.execute(sa.text(KEEP_TO_THE_INDEX_SQL))
    test = fan_out.ab_test
    result = await connection.execute(
        sa.text(_parts_sql(fan_out)).bindparams(
            sa.bindparam("frozen_at", type_=sa.DateTime(timezone=True)), sa.bindparam("issue_id", type_=sa.BigInteger)
        ),
        {
            "issue_id": fan_out.issue_id,
            "newsletter_id": fan_out.newsletter_id,
            "frozen_at": fan_out.frozen_at,
            "cursor_subscriber_id": fan_out.cursor_subscriber_id,
            "page_rows": page_rows,
        }
        | ({} if test is None else {"variant_count": test.variant_count, "share_percent": test.share_percent}),
    )
    parts = result.all()
    page = EnqueuedPage(sum(part.enqueued for part in parts), max((part.last_id for part in parts), default=None))
    if page.last_subscriber_id is not None:
        await connection.execute(
            sa.text("""
                UPDATE publishing.fan_out
                   SET cursor_subscriber_id = :last_subscriber_id, enqueued_count = enqueued_count + :count
                 WHERE issue_id = :issue_id
            """),
            {"issue_id": fan_out.issue_id, "last_subscriber_id": page.last_subscriber_id, "count": page.count},
        )
    if fan_out.has_waves and parts:
        await connection.execute(
            sa.text("""
                UPDATE publishing.wave SET recipients = recipients + added.count
                  FROM unnest(CAST(:numbers AS smallint[]), CAST(:counts AS bigint[])) AS added (number, count)
                 WHERE issue_id = :issue_id AND wave.number = added.number
            """),
            {
                "issue_id": fan_out.issue_id,
                "numbers": [part.wave for part in parts],
                "counts": [part.enqueued for part in parts],
            },
        )
    return page


async def set_fan_out_finished(connection: AsyncConnection, issue_id: int) -> None:
    await connection.execute(
        sa.text("UPDATE publishing.fan_out SET finished_at = now() WHERE issue_id = :issue_id"),
        {"issue_id": issue_id},
    )
