"""The SQL of audiences and fan-outs: plain functions that take the connection of the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection


class OpenFanOut(msgspec.Struct, frozen=True):
    """A fan-out with work left, locked by this transaction."""

    issue_id: int
    newsletter_id: int
    frozen_at: datetime
    cursor_subscriber_id: int
    is_segmented: bool = False


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
                   chosen.is_segmented
              FROM chosen
              JOIN publishing.issue ON issue.id = chosen.issue_id
        """),
        {"resting_issue_ids": list(resting_issue_ids)},
    )
    row = result.one_or_none()
    return None if row is None else OpenFanOut(*row)


async def enqueue_page(connection: AsyncConnection, fan_out: OpenFanOut, *, page_rows: int) -> EnqueuedPage:
    """Enqueue the next subscribers of the audience, and move the cursor behind them."""
    await connection.execute(sa.text(KEEP_TO_THE_INDEX_SQL))
    result = await connection.execute(
        sa.text(f"""
            WITH page AS MATERIALIZED ({_page_sql(fan_out)})
            SELECT delivery.enqueue_deliveries(:issue_id, array_agg(subscriber_id ORDER BY subscriber_id)) AS enqueued,
                   max(subscriber_id) AS last_subscriber_id
              FROM page
        """).bindparams(sa.bindparam("frozen_at", type_=sa.DateTime(timezone=True))),  # a constant
        {
            "issue_id": fan_out.issue_id,
            "newsletter_id": fan_out.newsletter_id,
            "frozen_at": fan_out.frozen_at,
            "cursor_subscriber_id": fan_out.cursor_subscriber_id,
            "page_rows": page_rows,
        },
    )
    row = result.one()
    page = EnqueuedPage(row.enqueued, row.last_subscriber_id)
    if page.last_subscriber_id is not None:
        await connection.execute(
            sa.text("""
                UPDATE publishing.fan_out
                   SET cursor_subscriber_id = :last_subscriber_id, enqueued_count = enqueued_count + :count
                 WHERE issue_id = :issue_id
            """),
            {"issue_id": fan_out.issue_id, "last_subscriber_id": page.last_subscriber_id, "count": page.count},
        )
    return page


async def set_fan_out_finished(connection: AsyncConnection, issue_id: int) -> None:
    await connection.execute(
        sa.text("UPDATE publishing.fan_out SET finished_at = now() WHERE issue_id = :issue_id"),
        {"issue_id": issue_id},
    )
