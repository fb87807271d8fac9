"""The SQL of A/B tests: plain functions that take the connection of the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_publishing.variants.ab_test import AbTest, DecideBy
from broadsheet_publishing.variants.winner import Choice, Reason, VariantFigures


class AbTestRow(msgspec.Struct, frozen=True, kw_only=True):
    """The A/B test of a published issue. `look_at` None: a person decides."""

    issue_id: int
    variant_count: int
    share_percent: int
    decide_by: DecideBy
    sample_min: int
    look_at: datetime | None
    give_up_at: datetime | None
    decided_at: datetime | None
    winner: int | None
    reason: Reason | None
    decided_by: str | None


_COLUMNS: Final = ", ".join(AbTestRow.__struct_fields__)


async def open_ab_test(connection: AsyncConnection, issue_id: int, test: AbTest) -> None:
    """When the issue is published. The time until the decision begins now."""
    await connection.execute(
        sa.text("""
            INSERT INTO publishing.ab_test
                   (issue_id, variant_count, share_percent, decide_by, sample_min, look_at, give_up_at)
            VALUES (:issue_id, :variant_count, :share_percent, :decide_by, :sample_min,
                    CASE WHEN :decide_by <> 'hand' THEN now() + :wait END,
                    CASE WHEN :decide_by <> 'hand' THEN now() + 2 * CAST(:wait AS interval) END)
        """).bindparams(sa.bindparam("wait", type_=sa.Interval), sa.bindparam("decide_by", type_=sa.Text)),
        {
            "issue_id": issue_id,
            "variant_count": test.variant_count,
            "share_percent": test.share_percent,
            "decide_by": test.decide_by,
            "sample_min": test.sample_min,
            "wait": timedelta(minutes=test.wait_minutes),
        },
    )


async def find_ab_test(connection: AsyncConnection, issue_id: int, *, lock: bool = False) -> AbTestRow | None:
    """None: the issue is not published, or has none."""
    result = await connection.execute(
        sa.text(f"""
            SELECT {_COLUMNS} FROM publishing.ab_test WHERE issue_id = :issue_id {"FOR UPDATE" if lock else ""}
        """),  # constant texts
        {"issue_id": issue_id},
    )
    row = result.mappings().one_or_none()
    return None if row is None else AbTestRow(**row)


async def lock_due_test(connection: AsyncConnection, *, resting_issue_ids: Sequence[int]) -> AbTestRow | None:
    """A test whose figures are to be looked at, and that no other transaction has locked; the one due longest first.

    The fan-out of its issue is complete: all who are in the test are known.
    """
    result = await connection.execute(
        sa.text(f"""
            SELECT {", ".join(f"test.{name}" for name in AbTestRow.__struct_fields__)}
              FROM publishing.ab_test AS test
              JOIN publishing.fan_out USING (issue_id)
             WHERE test.decided_at IS NULL AND test.look_at <= now() AND fan_out.finished_at IS NOT NULL
               AND test.issue_id <> ALL (CAST(:resting_issue_ids AS bigint[]))
             ORDER BY test.look_at, test.issue_id
             LIMIT 1
               FOR UPDATE OF test SKIP LOCKED
        """),  # constant columns
        {"resting_issue_ids": list(resting_issue_ids)},
    )
    row = result.mappings().one_or_none()
    return None if row is None else AbTestRow(**row)


async def is_last_look(connection: AsyncConnection, test: AbTestRow) -> bool:
    result = await connection.execute(
        sa.text("SELECT give_up_at <= now() FROM publishing.ab_test WHERE issue_id = :issue_id"),
        {"issue_id": test.issue_id},
    )
    return bool(result.scalar_one())


async def read_figures(connection: AsyncConnection, issue_id: int) -> dict[int, VariantFigures]:
    """By variant, as delivery's report shows them now."""
    result = await connection.execute(
        sa.text("""
            SELECT variant, accepted, delivery_reported, delivered, opened_by_reader, clicked_by_reader
              FROM delivery.published_variant_figures WHERE issue_id = :issue_id
        """),
        {"issue_id": issue_id},
    )
    return {
        row.variant: VariantFigures(
            accepted=row.accepted,
            delivery_reported=row.delivery_reported,
            delivered=row.delivered,
            opened=row.opened_by_reader,
            clicked=row.clicked_by_reader,
        )
        for row in result
    }


async def look_again(connection: AsyncConnection, issue_id: int, *, after: timedelta) -> None:
    await connection.execute(
        sa.text("""
            UPDATE publishing.ab_test SET look_at = least(now() + :after, greatest(give_up_at, now()))
             WHERE issue_id = :issue_id
        """).bindparams(sa.bindparam("after", type_=sa.Interval)),
        {"issue_id": issue_id, "after": after},
    )


async def set_decided(connection: AsyncConnection, issue_id: int, choice: Choice | None, *, decided_by: str) -> None:
    """`choice` None: the issue was cancelled first."""
    await connection.execute(
        sa.text("""
            UPDATE publishing.ab_test
               SET decided_at = now(), winner = :winner, reason = :reason, decided_by = :decided_by
             WHERE issue_id = :issue_id
        """).bindparams(sa.bindparam("winner", type_=sa.SmallInteger)),
        {
            "issue_id": issue_id,
            "winner": choice.winner if choice else None,
            "reason": choice.reason if choice else "cancelled",
            "decided_by": decided_by,
        },
    )
    # The archive shows the winner from now on.
    await connection.execute(
        sa.text("UPDATE publishing.issue SET updated_at = now() WHERE id = :issue_id"), {"issue_id": issue_id}
    )
