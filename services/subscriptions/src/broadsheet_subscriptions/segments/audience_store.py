"""The SQL of frozen audiences: plain functions that take the connection of the caller's transaction."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_subscriptions.segments.compile_filter import compile_filter
from broadsheet_subscriptions.segments.filter import Node
from broadsheet_subscriptions.tables import audience, audience_block, subscriber, subscription
from broadsheet_subscriptions.tables.lists import BLOCK_BITS, bit_of, block_of

_NOBODY = "0" * BLOCK_BITS


class OpenAudience(msgspec.Struct, frozen=True):
    """An audience with blocks left to do, locked by this transaction."""

    issue_id: int
    newsletter_id: int
    filter: dict[str, Any]
    frozen_at: datetime
    next_block: int
    failure_count: int


async def lock_open_audience(connection: AsyncConnection) -> OpenAudience | None:
    """An audience that is due and that no other replica has locked. Those of issues come before trials, whose numbers
    are negative.
    """
    row = (
        await connection.execute(
            sa.text("""
                SELECT issue_id, newsletter_id, filter, frozen_at, next_block, failure_count
                  FROM subscriptions.audience
                 WHERE completed_at IS NULL AND run_at <= now()
                 ORDER BY issue_id < 0, run_at LIMIT 1 FOR UPDATE SKIP LOCKED
            """)
        )
    ).one_or_none()
    return None if row is None else OpenAudience(*row)


async def last_block(connection: AsyncConnection) -> int:
    """The block of the newest subscriber; -1 if there are no subscribers."""
    row = await connection.execute(sa.select(block_of(sa.func.coalesce(sa.func.max(subscriber.c.id), -1))))
    return int(row.scalar_one())


async def add_blocks(connection: AsyncConnection, held: OpenAudience, node: Node, *, blocks: int) -> int:
    """Stores who in the next blocks is confirmed and matches, as bits; returns how many they are."""
    # Planned for these blocks each time: the plan that Postgres keeps after five is for any blocks, and slower.
    await connection.execute(sa.text("SET LOCAL plan_cache_mode = force_custom_plan"))
    first, behind = held.next_block * BLOCK_BITS, (held.next_block + blocks) * BLOCK_BITS
    confirmed = subscription.alias("confirmed")
    source = subscriber.join(
        confirmed,
        sa.and_(
            confirmed.c.newsletter_id == sa.literal(held.newsletter_id, sa.BigInteger),
            confirmed.c.subscriber_id == subscriber.c.id,
            confirmed.c.state == sa.literal("confirmed", sa.Text),
            confirmed.c.confirmed_at <= sa.literal(held.frozen_at, sa.DateTime(timezone=True)),
            confirmed.c.subscriber_id >= sa.literal(first, sa.BigInteger),
            confirmed.c.subscriber_id < sa.literal(behind, sa.BigInteger),
        ),
    )
    compiled = compile_filter(node, moment=held.frozen_at, source=source)
    nobody = sa.cast(sa.literal(_NOBODY, sa.Text), pg.BIT(BLOCK_BITS))
    one = sa.func.set_bit(nobody, bit_of(subscriber.c.id), sa.literal(1, sa.Integer))
    page = (
        sa.select(
            block_of(subscriber.c.id).label("block"),
            sa.func.bit_or(one).label("members"),
            sa.func.count().label("size"),
        )
        .select_from(compiled.source)
        .where(
            compiled.condition,
            subscriber.c.id >= sa.literal(first, sa.BigInteger),
            subscriber.c.id < sa.literal(behind, sa.BigInteger),
        )
        # By position: the tables that the filter joins have a column `block` too.
        .group_by(sa.text("1"))
        .cte("page")
        .prefix_with("MATERIALIZED")
    )
    added = (
        sa.insert(audience_block)
        .from_select(
            ["issue_id", "block", "members"],
            sa.select(sa.literal(held.issue_id, sa.BigInteger), page.c.block, page.c.members),
        )
        .cte("added")
    )
    row = await connection.execute(sa.select(sa.func.coalesce(sa.func.sum(page.c.size), 0)).add_cte(added))
    return int(row.scalar_one())


async def advance(
    connection: AsyncConnection, held: OpenAudience, *, next_block: int, members: int, complete: bool
) -> None:
    await connection.execute(
        sa.update(audience)
        .where(audience.c.issue_id == held.issue_id)
        .values(
            next_block=next_block,
            member_count=audience.c.member_count + members,
            completed_at=sa.func.now() if complete else None,
            failure_count=0,
        )
    )


async def put_off(connection: AsyncConnection, held: OpenAudience, *, wait: timedelta) -> None:
    await connection.execute(
        sa.update(audience)
        .where(audience.c.issue_id == held.issue_id, audience.c.completed_at.is_(None))
        .values(run_at=sa.func.now() + wait, failure_count=held.failure_count + 1)
    )
