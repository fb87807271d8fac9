"""The SQL of publishing: plain functions that take the connection of the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_publishing.issues.issue import IssueContent, Progress, StoredStatus


class NewsletterRow(msgspec.Struct, frozen=True):
    id: int
    slug: str
    name: str
    is_default: bool
    from_name: str | None
    from_email: str | None
    reply_to: str | None
    message_stream: str
    unsubscribe_handling: str
    postal_address: str
    allowed_origins: list[str]
    is_listed: bool


class IssueRow(msgspec.Struct, frozen=True):
    """An issue without its content, which may be megabytes."""

    id: int
    newsletter_id: int
    title: str
    status: StoredStatus
    created_by: str
    created_at: datetime
    updated_at: datetime
    published_at: datetime | None
    scheduled_at: datetime | None
    scheduled_local: str | None
    scheduled_time_zone: str | None
    schedule_note: str | None
    segment_id: int | None


class Counts(msgspec.Struct, frozen=True):
    """What became of an issue's audience; the last eight add up to the first in every snapshot."""

    audience: int = 0
    pending: int = 0
    in_flight: int = 0
    accepted: int = 0
    failed: int = 0
    suppressed: int = 0
    excluded: int = 0
    uncertain: int = 0
    cancelled: int = 0


class ProgressRow(msgspec.Struct, frozen=True):
    """What delivery publishes on an issue."""

    progress: Progress
    finished_at: datetime | None
    parked: int
    counts: Counts


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


_NEWSLETTER_COLUMNS = """
    id, slug, name, is_default, from_name, from_email, reply_to, message_stream, unsubscribe_handling, postal_address,
    allowed_origins, is_listed
"""
ISSUE_COLUMNS = """
    id, newsletter_id, title, status, created_by, created_at, updated_at, published_at, scheduled_at, scheduled_local,
    scheduled_time_zone, schedule_note, segment_id
"""
_COUNT_COLUMNS = "audience, pending, in_flight, accepted, failed, suppressed, excluded, uncertain, cancelled"


async def list_newsletters(connection: AsyncConnection, *, after_id: int, limit: int) -> list[NewsletterRow]:
    """Oldest first."""
    result = await connection.execute(
        sa.text(f"""
            SELECT {_NEWSLETTER_COLUMNS} FROM publishing.newsletter WHERE id > :after_id ORDER BY id LIMIT :limit
        """),  # constant columns
        {"after_id": after_id, "limit": limit},
    )
    return [NewsletterRow(*row) for row in result]


async def find_newsletter(
    connection: AsyncConnection, newsletter_id: int, *, lock: bool = False
) -> NewsletterRow | None:
    result = await connection.execute(
        sa.text(f"""
            SELECT {_NEWSLETTER_COLUMNS} FROM publishing.newsletter WHERE id = :newsletter_id
            {"FOR NO KEY UPDATE" if lock else ""}
        """),  # constant texts
        {"newsletter_id": newsletter_id},
    )
    row = result.one_or_none()
    return None if row is None else NewsletterRow(*row)


async def change_newsletter(
    connection: AsyncConnection, newsletter_id: int, *, allowed_origins: Sequence[str] | None, is_listed: bool | None
) -> NewsletterRow:
    """None stays as it is."""
    result = await connection.execute(
        sa.text(f"""
            UPDATE publishing.newsletter
               SET allowed_origins = coalesce(CAST(:allowed_origins AS text[]), allowed_origins),
                   is_listed = coalesce(CAST(:is_listed AS boolean), is_listed)
             WHERE id = :newsletter_id
            RETURNING {_NEWSLETTER_COLUMNS}
        """),  # constant columns
        {
            "newsletter_id": newsletter_id,
            "allowed_origins": None if allowed_origins is None else [str(origin) for origin in allowed_origins],
            "is_listed": is_listed,
        },
    )
    return NewsletterRow(*result.one())


async def find_default_newsletter_id(connection: AsyncConnection) -> int | None:
    result = await connection.execute(sa.text("SELECT id FROM publishing.newsletter WHERE is_default"))
    newsletter_id: int | None = result.scalar_one_or_none()
    return newsletter_id


async def insert_issue(
    connection: AsyncConnection,
    *,
    newsletter_id: int,
    content: IssueContent,
    created_by: str,
    segment_id: int | None = None,
) -> IssueRow:
    """A new draft."""
    result = await connection.execute(
        sa.text(f"""
            INSERT INTO publishing.issue (newsletter_id, title, html_content, text_content, created_by, segment_id)
            VALUES (:newsletter_id, :title, :html_content, :text_content, :created_by, :segment_id)
            RETURNING {ISSUE_COLUMNS}
        """).bindparams(sa.bindparam("segment_id", type_=sa.BigInteger)),  # constant columns
        {
            "segment_id": segment_id,
            "newsletter_id": newsletter_id,
            "title": content.title,
            "html_content": content.html_content,
            "text_content": content.text_content,
            "created_by": created_by,
        },
    )
    return IssueRow(*result.one())


async def find_issue(connection: AsyncConnection, issue_id: int, *, lock: bool = False) -> IssueRow | None:
    """`lock`: not FOR UPDATE, for which a fan-out's foreign key would wait while it holds the issue's run."""
    result = await connection.execute(
        sa.text(f"""
            SELECT {ISSUE_COLUMNS} FROM publishing.issue WHERE id = :issue_id {"FOR NO KEY UPDATE" if lock else ""}
        """),  # constant texts
        {"issue_id": issue_id},
    )
    row = result.one_or_none()
    return None if row is None else IssueRow(*row)


async def read_content(connection: AsyncConnection, issue_id: int) -> tuple[str, str]:
    """HTML and text of an issue that is there."""
    result = await connection.execute(
        sa.text("SELECT html_content, text_content FROM publishing.issue WHERE id = :issue_id"),
        {"issue_id": issue_id},
    )
    row = result.one()
    return row.html_content, row.text_content


async def list_issues(
    connection: AsyncConnection, *, before_id: int | None, limit: int, newsletter_id: int | None
) -> list[IssueRow]:
    """Newest first."""
    result = await connection.execute(
        sa.text(f"""
            SELECT {ISSUE_COLUMNS}
              FROM publishing.issue
             WHERE (:before_id IS NULL OR id < :before_id)
               AND (:newsletter_id IS NULL OR newsletter_id = :newsletter_id)
             ORDER BY id DESC
             LIMIT :limit
        """).bindparams(  # constant columns
            sa.bindparam("before_id", type_=sa.BigInteger), sa.bindparam("newsletter_id", type_=sa.BigInteger)
        ),
        {"before_id": before_id, "limit": limit, "newsletter_id": newsletter_id},
    )
    return [IssueRow(*row) for row in result]


async def read_progress(connection: AsyncConnection, issue_ids: Sequence[int]) -> dict[int, ProgressRow]:
    """Delivery's word on those of the issues that it knows."""
    result = await connection.execute(
        sa.text(f"""
            SELECT issue_id, state, pause_reason, fan_out_finished_at IS NOT NULL AS fan_out_is_finished, finished_at,
                   parked, {_COUNT_COLUMNS}
              FROM delivery.published_issue_progress
             WHERE issue_id = ANY(CAST(:issue_ids AS bigint[]))
        """),  # constant columns
        {"issue_ids": list(issue_ids)},
    )
    return {
        row.issue_id: ProgressRow(
            progress=Progress(row.state, row.pause_reason, row.fan_out_is_finished),
            finished_at=row.finished_at,
            parked=int(row.parked),
            counts=Counts(*(int(count) for count in row[6:])),
        )
        for row in result
    }


KEEP_TO_THE_INDEX_SQL = """
    SELECT now() AS moment,
           set_config('enable_sort', 'off', true),
           set_config('enable_bitmapscan', 'off', true),
           set_config('enable_seqscan', 'off', true)
"""
"""For this transaction: the planner must not gather the whole rest of the audience and sort it for one page, which it
does on a table that nobody has analysed yet."""

PAGE_SQL = """
    SELECT subscriber_id
      FROM subscriptions.published_audience
     WHERE (newsletter_id, subscriber_id) > (:newsletter_id, :cursor_subscriber_id)
       AND newsletter_id <= :newsletter_id AND confirmed_at <= :frozen_at
     ORDER BY newsletter_id, subscriber_id, confirmed_at
     LIMIT :page_rows
"""
"""The audience from the cursor on, in the words of the index `subscription_audience`: bounds instead of
`newsletter_id = …`, and every column of it in the order, so that no other index will do."""


SEGMENT_PAGE_SQL = f"""
    SELECT audience.subscriber_id
      FROM ({PAGE_SQL.replace("LIMIT :page_rows", "")}) AS audience
      JOIN subscriptions.published_audience_blocks AS block
        ON block.issue_id = :issue_id AND block.block = audience.subscriber_id / 8192
     WHERE get_bit(block.members, CAST(audience.subscriber_id % 8192 AS integer)) = 1
     ORDER BY audience.subscriber_id
     LIMIT :page_rows
"""
"""Of the same walk those who are in the issue's frozen segment: bit n of block b is subscriber b * 8192 + n."""


async def segment_exists(connection: AsyncConnection, segment_id: int) -> bool:
    row = await connection.execute(
        sa.text("SELECT EXISTS (SELECT FROM subscriptions.published_segments WHERE segment_id = :segment_id)"),
        {"segment_id": segment_id},
    )
    return bool(row.scalar_one())


async def has_audience(connection: AsyncConnection, newsletter_id: int) -> bool:
    """Whether anybody is confirmed on the newsletter at this transaction's moment."""
    moment = (await connection.execute(sa.text(KEEP_TO_THE_INDEX_SQL))).one().moment
    result = await connection.execute(
        sa.text(PAGE_SQL),
        {"newsletter_id": newsletter_id, "frozen_at": moment, "cursor_subscriber_id": 0, "page_rows": 1},
    )
    return result.first() is not None


async def set_published(connection: AsyncConnection, issue_id: int) -> IssueRow:
    """Freeze the issue and begin its fan-out; the audience is who is confirmed at this transaction's moment."""
    result = await connection.execute(
        sa.text(f"""
            UPDATE publishing.issue
               SET status = 'published', published_at = now(), updated_at = now(), schedule_note = NULL
             WHERE id = :issue_id
            RETURNING {ISSUE_COLUMNS}
        """),  # constant columns
        {"issue_id": issue_id},
    )
    row = IssueRow(*result.one())
    await connection.execute(
        sa.text("INSERT INTO publishing.fan_out (issue_id, is_segmented) VALUES (:issue_id, :is_segmented)"),
        {"issue_id": issue_id, "is_segmented": row.segment_id is not None},
    )
    return row


async def set_cancelled(connection: AsyncConnection, issue_id: int) -> IssueRow:
    """An issue that was never published, and never will be."""
    result = await connection.execute(
        sa.text(f"""
            UPDATE publishing.issue SET status = 'cancelled', updated_at = now(), schedule_note = NULL
             WHERE id = :issue_id
            RETURNING {ISSUE_COLUMNS}
        """),  # constant columns
        {"issue_id": issue_id},
    )
    return IssueRow(*result.one())


def _page_sql(fan_out: OpenFanOut) -> str:
    return SEGMENT_PAGE_SQL if fan_out.is_segmented else PAGE_SQL


def _issue_of(fan_out: OpenFanOut) -> dict[str, object]:
    """The parameter that SEGMENT_PAGE_SQL has besides."""
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
    """One that no other worker has, and whose audience is known.

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
