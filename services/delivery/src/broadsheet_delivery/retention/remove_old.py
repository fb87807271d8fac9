"""Remove what is old: working rows of ended issues after their counts are frozen, then who got what; never a count.

Bounded transactions, by one replica at a time (a transaction-scoped advisory lock, free at once when it dies). An
issue that is not over is never touched: the queue's functions that delete check it again themselves.
"""

from collections.abc import Awaitable, Callable
from functools import partial

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.background.each import do_each
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.erasure.store import forget_old_hashes

ROUNDS_A_STEP_MAX = 200
ROWS_A_ROUND_MAX = 5_000
_ISSUES_A_ROUND_MAX = 20
ADVISORY_LOCK = 0x62736865_72657461 & 0x7FFFFFFFFFFFFFFF

_Remove = Callable[[AsyncConnection], Awaitable[int]]
"""One round of one kind of rows; answers how many."""


async def retain(context: DeliveryContext) -> int:
    """One bounded step; answers how many rows were removed. A kind of rows that fails does not keep the others."""
    kinds: list[_Remove] = [
        partial(_freeze_counts, context),
        partial(_remove_work, context),
        partial(_remove_outcomes, context),
        partial(_remove_attempts, context),
        partial(_remove_events, context),
        partial(forget_old_hashes, kept=context.outcomes_kept, limit=ROWS_A_ROUND_MAX),
    ]
    freezing = kinds[0]
    removed = 0

    async def remove(kind: _Remove) -> int:
        nonlocal removed
        for _ in range(ROUNDS_A_STEP_MAX):
            async with context.engine.begin() as connection:
                if not await _is_my_turn(connection):
                    return 0
                rows = await kind(connection)
            if rows == 0:
                break
            removed += rows if kind is not freezing else 0
        return 0

    async def remove_transactional() -> int:
        nonlocal removed
        after_mail_id = 0
        for _ in range(ROUNDS_A_STEP_MAX):
            async with context.engine.begin() as connection:
                if not await _is_my_turn(connection):
                    return 0
                mails, after_mail_id = await _remove_transactional(context, connection, after_mail_id)
            removed += mails
            if after_mail_id == 0:
                break
        return 0

    await do_each([*(partial(remove, kind) for kind in kinds), remove_transactional])
    if removed:
        context.log.info("delivery.old_rows_removed", rows=removed)
    return removed


async def _is_my_turn(connection: AsyncConnection) -> bool:
    locked = await connection.execute(sa.text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})
    return bool(locked.scalar_one())


async def _freeze_counts(context: DeliveryContext, connection: AsyncConnection) -> int:
    """In the commit that freezes the counts the view reads the frozen ones: no reader sees them change."""
    rows = await connection.execute(
        sa.text("""
            WITH picked AS MATERIALIZED (
                SELECT issue_id FROM delivery.issue_run
                 WHERE outcomes_removed_at IS NULL AND finished_at < now() - :kept AND frozen_counts IS NULL
                 ORDER BY finished_at LIMIT :limit FOR UPDATE SKIP LOCKED
            )
            UPDATE delivery.issue_run AS run
               SET frozen_counts = jsonb_build_object(
                       'audience', counts.audience, 'pending', counts.pending, 'in_flight', counts.in_flight,
                       'accepted', counts.accepted, 'failed', counts.failed, 'suppressed', counts.suppressed,
                       'excluded', counts.excluded, 'uncertain', counts.uncertain, 'cancelled', counts.cancelled)
              FROM picked
             CROSS JOIN LATERAL (
                   SELECT * FROM delivery.published_issue_progress AS progress
                    WHERE progress.issue_id = picked.issue_id
             ) AS counts
             WHERE run.issue_id = picked.issue_id
            RETURNING run.issue_id
        """).bindparams(sa.bindparam("kept", type_=sa.Interval)),
        {"kept": context.work_kept, "limit": _ISSUES_A_ROUND_MAX},
    )
    return len(rows.all())


async def _remove_work(context: DeliveryContext, connection: AsyncConnection) -> int:
    issues = await connection.execute(
        sa.text("""
            SELECT issue_id FROM delivery.issue_run
             WHERE outcomes_removed_at IS NULL AND finished_at < now() - :kept
               AND frozen_counts IS NOT NULL AND work_removed_at IS NULL
             ORDER BY finished_at LIMIT :limit
        """).bindparams(sa.bindparam("kept", type_=sa.Interval)),
        {"kept": context.work_kept, "limit": _ISSUES_A_ROUND_MAX},
    )
    for issue_id in list(issues.scalars()):
        rows = await connection.execute(
            sa.text("SELECT delivery.remove_issue_work(:issue_id, :kept, :rows)").bindparams(
                sa.bindparam("kept", type_=sa.Interval)
            ),
            {"issue_id": issue_id, "kept": context.work_kept, "rows": ROWS_A_ROUND_MAX},
        )
        if (removed := int(rows.scalar_one())) > 0:
            return removed
    return 0


async def _remove_outcomes(context: DeliveryContext, connection: AsyncConnection) -> int:
    """A partition whose lock does not come is left to a later step."""
    issue = await connection.execute(
        sa.text("""
            SELECT issue_id FROM delivery.issue_run
             WHERE outcomes_removed_at IS NULL AND finished_at < now() - :kept AND work_removed_at IS NOT NULL
             ORDER BY finished_at LIMIT :limit
        """).bindparams(sa.bindparam("kept", type_=sa.Interval)),
        {"kept": context.outcomes_kept, "limit": _ISSUES_A_ROUND_MAX},
    )
    for issue_id in list(issue.scalars()):
        rows = await connection.execute(
            sa.text("SELECT delivery.remove_issue_outcomes(:issue_id, :kept, :rows)").bindparams(
                sa.bindparam("kept", type_=sa.Interval)
            ),
            {"issue_id": issue_id, "kept": context.outcomes_kept, "rows": ROWS_A_ROUND_MAX},
        )
        removed = int(rows.scalar_one())
        if removed > 0:
            return removed
        if removed < 0:
            context.log.warning("delivery.partition_busy", issue_id=issue_id)
    return 0


async def _remove_attempts(context: DeliveryContext, connection: AsyncConnection) -> int:
    """Attempts that belong to no issue: transactional mail's, and canaries on the newsletters' streams."""
    rows = await connection.execute(
        sa.text("""
            SELECT delivery.remove_old_attempts(
                ARRAY (SELECT message_stream FROM publishing.published_newsletters UNION SELECT :stream), :kept, :rows)
        """).bindparams(sa.bindparam("kept", type_=sa.Interval), sa.bindparam("stream", type_=sa.Text)),
        {"stream": context.transactional_stream, "kept": context.work_kept, "rows": ROWS_A_ROUND_MAX},
    )
    return int(rows.scalar_one())


async def _remove_events(context: DeliveryContext, connection: AsyncConnection) -> int:
    """Postmark's events that belong to no issue; those of one go with its outcomes."""
    rows = await connection.execute(
        sa.text("SELECT delivery.remove_old_events(:kept, :rows)").bindparams(sa.bindparam("kept", type_=sa.Interval)),
        {"kept": context.outcomes_kept, "rows": ROWS_A_ROUND_MAX},
    )
    return int(rows.scalar_one())


async def _remove_transactional(
    context: DeliveryContext, connection: AsyncConnection, after_id: int
) -> tuple[int, int]:
    """One page of mails in the order of their ids, up to the first that is too young; answers where to go on, or 0."""
    row = (
        await connection.execute(
            sa.text("""
                WITH page AS MATERIALIZED (
                    SELECT id, kind, created_at, settled_at FROM delivery.single_mail
                     WHERE id > :after_id ORDER BY id LIMIT :rows
                ), removed AS (
                    DELETE FROM delivery.single_mail WHERE id = ANY (ARRAY (
                        SELECT id FROM page WHERE kind <> 'newsletter' AND settled_at < now() - :kept))
                    RETURNING 1
                )
                SELECT (SELECT count(*) FROM removed) AS removed, max(id) AS last_id, count(*) AS seen,
                       coalesce(bool_or(created_at >= now() - :kept), true) AS reached_the_young
                  FROM page
            """).bindparams(sa.bindparam("kept", type_=sa.Interval)),
            {"after_id": after_id, "rows": ROWS_A_ROUND_MAX, "kept": context.work_kept},
        )
    ).one()
    done = row.reached_the_young or row.seen < ROWS_A_ROUND_MAX
    return row.removed, 0 if done else row.last_id
