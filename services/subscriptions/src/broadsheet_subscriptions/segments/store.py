"""The SQL of segments: plain functions that take the connection of the caller's transaction."""

from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_subscriptions.segments.compile_filter import compile_filter
from broadsheet_subscriptions.segments.filter import Node
from broadsheet_subscriptions.tables import subscriber, subscription
from broadsheet_subscriptions.tables.lists import suppressed


class SegmentRow(msgspec.Struct, frozen=True):
    id: int
    name: str
    filter: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class AudienceCounts(msgspec.Struct, frozen=True):
    """How many match a filter, by their subscription to one newsletter; `suppressed` counts some of the confirmed."""

    matching: int
    confirmed: int
    pending: int
    unsubscribed: int
    suppressed: int


_UNIQUE_VIOLATION = "23505"
_COLUMNS = "id, name, filter, created_at, updated_at"


async def list_segments(connection: AsyncConnection, *, after_id: int, limit: int) -> list[SegmentRow]:
    """Oldest first."""
    rows = await connection.execute(
        sa.text(f"SELECT {_COLUMNS} FROM subscriptions.segment WHERE id > :after_id ORDER BY id LIMIT :limit"),
        {"after_id": after_id, "limit": limit},
    )
    return [SegmentRow(*row) for row in rows]


async def find_segment(connection: AsyncConnection, segment_id: int, *, lock: bool = False) -> SegmentRow | None:
    row = (
        await connection.execute(
            sa.text(f"""
                SELECT {_COLUMNS} FROM subscriptions.segment WHERE id = :segment_id {"FOR UPDATE" if lock else ""}
            """),  # constant texts
            {"segment_id": segment_id},
        )
    ).one_or_none()
    return None if row is None else SegmentRow(*row)


async def insert_segment(connection: AsyncConnection, *, name: str, filter_: dict[str, Any]) -> SegmentRow | None:
    """None: a segment of that name exists."""
    row = (
        await connection.execute(
            sa.text(f"""
                INSERT INTO subscriptions.segment (name, filter) VALUES (:name, CAST(:filter AS jsonb))
                ON CONFLICT (name) DO NOTHING RETURNING {_COLUMNS}
            """),  # constant columns
            {"name": name, "filter": msgspec.json.encode(filter_).decode()},
        )
    ).one_or_none()
    return None if row is None else SegmentRow(*row)


async def update_segment(
    connection: AsyncConnection, segment_id: int, *, name: str, filter_: dict[str, Any]
) -> SegmentRow | None:
    """None: another segment has that name, or has just taken it."""
    try:
        async with connection.begin_nested():
            row = await connection.execute(
                sa.text(f"""
                    UPDATE subscriptions.segment
                       SET name = :name, filter = CAST(:filter AS jsonb), updated_at = clock_timestamp()
                     WHERE id = :segment_id RETURNING {_COLUMNS}
                """),  # constant columns
                {"segment_id": segment_id, "name": name, "filter": msgspec.json.encode(filter_).decode()},
            )
            return SegmentRow(*row.one())
    except IntegrityError as error:
        if getattr(error.orig, "sqlstate", None) != _UNIQUE_VIOLATION:
            raise
        return None


async def is_used(connection: AsyncConnection, segment_id: int) -> bool:
    """Whether an issue that is not published yet uses it."""
    row = await connection.execute(
        sa.text("SELECT EXISTS (SELECT FROM publishing.published_segment_uses WHERE segment_id = :segment_id)"),
        {"segment_id": segment_id},
    )
    return bool(row.scalar_one())


async def delete_segment(connection: AsyncConnection, segment_id: int) -> None:
    await connection.execute(
        sa.text("DELETE FROM subscriptions.segment WHERE id = :segment_id"), {"segment_id": segment_id}
    )


async def find_stream(connection: AsyncConnection, newsletter_id: int) -> str | None:
    """The message stream of a newsletter; None: there is no such newsletter."""
    row = await connection.execute(
        sa.text("SELECT message_stream FROM publishing.published_newsletters WHERE newsletter_id = :newsletter_id"),
        {"newsletter_id": newsletter_id},
    )
    stream: str | None = row.scalar_one_or_none()
    return stream


async def database_now(connection: AsyncConnection) -> datetime:
    """The time at which this transaction began."""
    moment: datetime = (await connection.execute(sa.text("SELECT now()"))).scalar_one()
    return moment


async def count_matching(connection: AsyncConnection, node: Node, *, moment: datetime) -> int:
    compiled = compile_filter(node, moment=moment)
    row = await connection.execute(sa.select(sa.func.count()).select_from(compiled.source).where(compiled.condition))
    return int(row.scalar_one())


async def count_audience(
    connection: AsyncConnection, node: Node, *, newsletter_id: int, stream: str, moment: datetime
) -> AudienceCounts:
    """Counts in one scan, so that all numbers are from the same snapshot."""
    held = subscription.alias("held")
    source = subscriber.outerjoin(
        held,
        sa.and_(
            held.c.newsletter_id == sa.literal(newsletter_id, sa.BigInteger), held.c.subscriber_id == subscriber.c.id
        ),
    ).outerjoin(
        suppressed,
        sa.and_(
            suppressed.c.message_stream == sa.literal(stream, sa.Text),
            suppressed.c.email_key == subscriber.c.email_key,
        ),
    )
    compiled = compile_filter(node, moment=moment, source=source)
    state, count = held.c.state, sa.func.count()
    row = (
        await connection.execute(
            sa.select(
                count.label("matching"),
                count.filter(state == "confirmed").label("confirmed"),
                count.filter(state == "pending").label("pending"),
                count.filter(state == "unsubscribed").label("unsubscribed"),
                count.filter(state == "confirmed", suppressed.c.email_key.is_not(None)).label("suppressed"),
            )
            .select_from(compiled.source)
            .where(compiled.condition)
        )
    ).one()
    return AudienceCounts(*row)
