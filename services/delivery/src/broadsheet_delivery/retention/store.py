"""SQL that removes what is old. Every function takes the connection of its caller's transaction."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.idempotency import prune_answers
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.tables import idempotency_key

ROWS_A_ROUND_MAX = 5_000
_ISSUES_A_ROUND_MAX = 20
_PARTITION_BUSY = -1
ADVISORY_LOCK = 0x62736865_72657461 & 0x7FFFFFFFFFFFFFFF


async def is_my_turn(connection: AsyncConnection) -> bool:
    locked = await connection.execute(sa.text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})
    return bool(locked.scalar_one())


async def remove_answers(connection: AsyncConnection) -> int:
    return await prune_answers(connection, idempotency_key, rows_max=ROWS_A_ROUND_MAX)


async def freeze_counts(context: DeliveryContext, connection: AsyncConnection) -> int:
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


async def remove_work(context: DeliveryContext, connection: AsyncConnection) -> int:
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


async def remove_outcomes(context: DeliveryContext, connection: AsyncConnection) -> int:
    """Left to a later step: a partition that cannot be locked at once, and what is not in the report's figures yet."""
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
            event = "delivery.partition_busy" if removed == _PARTITION_BUSY else "delivery.report_not_complete"
            context.log.warning(event, issue_id=issue_id)
    return 0


async def remove_attempts(context: DeliveryContext, connection: AsyncConnection) -> int:
    """Attempts that belong to no issue: transactional mail's, and canaries on the newsletters' streams."""
    rows = await connection.execute(
        sa.text("""
            SELECT delivery.remove_old_attempts(
                ARRAY (SELECT message_stream FROM publishing.published_newsletters UNION SELECT :stream), :kept, :rows)
        """).bindparams(sa.bindparam("kept", type_=sa.Interval), sa.bindparam("stream", type_=sa.Text)),
        {"stream": context.transactional_stream, "kept": context.work_kept, "rows": ROWS_A_ROUND_MAX},
    )
    return int(rows.scalar_one())


async def remove_events(context: DeliveryContext, connection: AsyncConnection) -> int:
    """Postmark's events that belong to no issue; those of one go with its outcomes."""
    rows = await connection.execute(
        sa.text("SELECT delivery.remove_old_events(:kept, :rows)").bindparams(sa.bindparam("kept", type_=sa.Interval)),
        {"kept": context.outcomes_kept, "rows": ROWS_A_ROUND_MAX},
    )
    return int(rows.scalar_one())


async def remove_transactional(context: DeliveryContext, connection: AsyncConnection, after_id: int) -> tuple[int, int]:
    """One page of mails in the order of ids, up to the first that is too young. Returns how many were removed, and
    where to go on, or 0.
    """
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
