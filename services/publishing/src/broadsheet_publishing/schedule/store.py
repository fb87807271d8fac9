"""The SQL of schedules: plain functions that take the connection of the caller's transaction."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_publishing.issues.interface import ISSUE_COLUMNS, IssueRow, issue_row
from broadsheet_publishing.schedule.schedule import ScheduledTime


async def set_scheduled(connection: AsyncConnection, issue_id: int, chosen: ScheduledTime) -> IssueRow:
    result = await connection.execute(
        sa.text(f"""
            UPDATE publishing.issue
               SET status = 'scheduled', scheduled_at = :scheduled_at, scheduled_local = :local,
                   scheduled_time_zone = :time_zone, in_reader_time_zone = :in_reader_time_zone,
                   schedule_note = NULL, updated_at = now()
             WHERE id = :issue_id
            RETURNING {ISSUE_COLUMNS}
        """).bindparams(sa.bindparam("scheduled_at", type_=sa.DateTime(timezone=True))),  # constant columns
        {
            "issue_id": issue_id,
            "scheduled_at": chosen.instant,
            "local": chosen.local,
            "time_zone": chosen.time_zone,
            "in_reader_time_zone": chosen.in_reader_time_zone,
        },
    )
    return issue_row(result.mappings().one())


async def set_draft(connection: AsyncConnection, issue_id: int, *, note: str | None) -> IssueRow:
    """No longer scheduled; `note` says why if nobody asked for it."""
    result = await connection.execute(
        sa.text(f"""
            UPDATE publishing.issue
               SET status = 'draft', scheduled_at = NULL, scheduled_local = NULL, scheduled_time_zone = NULL,
                   in_reader_time_zone = false, schedule_note = :note, updated_at = now()
             WHERE id = :issue_id
            RETURNING {ISSUE_COLUMNS}
        """),  # constant columns
        {"issue_id": issue_id, "note": note},
    )
    return issue_row(result.mappings().one())


async def lock_due_issue(connection: AsyncConnection, *, resting_issue_ids: Sequence[int]) -> int | None:
    """A due issue that no other transaction has locked; the one due longest first."""
    result = await connection.execute(
        sa.text("""
            SELECT id FROM publishing.issue
             WHERE status = 'scheduled' AND scheduled_at <= now()
               AND id <> ALL(CAST(:resting_issue_ids AS bigint[]))
             ORDER BY scheduled_at, id
             LIMIT 1
               FOR NO KEY UPDATE SKIP LOCKED
        """),
        {"resting_issue_ids": list(resting_issue_ids)},
    )
    issue_id: int | None = result.scalar_one_or_none()
    return issue_id


async def read_seconds_to_next(connection: AsyncConnection) -> float | None:
    """Until the next schedule is due, by the database's clock; None without one."""
    result = await connection.execute(
        sa.text("""
            SELECT CAST(extract(epoch FROM min(scheduled_at) - now()) AS double precision)
              FROM publishing.issue
             WHERE status = 'scheduled' AND scheduled_at > now()
        """)
    )
    seconds: float | None = result.scalar_one()
    return seconds
