"""The SQL of issues: plain functions that take the connection of the caller's transaction."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.mail.merge_fields import AttributeType
from broadsheet_publishing.compiling.issue_source import Format
from broadsheet_publishing.issues.issue import Progress, Status, StoredStatus


class IssueRow(msgspec.Struct, frozen=True, kw_only=True):
    """An issue without its content, which may be megabytes."""

    id: int
    newsletter_id: int
    segment_id: int | None
    layout_id: int | None
    title: str
    subject: str | None
    preheader: str
    format: Format
    slug: str | None
    in_archive: bool | None
    status: StoredStatus
    version: int
    created_by: str
    saved_by: str
    created_at: datetime
    updated_at: datetime
    published_at: datetime | None
    scheduled_at: datetime | None
    scheduled_local: str | None
    scheduled_time_zone: str | None
    in_reader_time_zone: bool
    schedule_note: str | None


class Counts(msgspec.Struct, frozen=True):
    """The counts of an issue's audience; the last eight add up to the first in every snapshot."""

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


ISSUE_COLUMNS: Final = ", ".join(IssueRow.__struct_fields__)


def issue_row(found: Mapping[Any, Any]) -> IssueRow:
    """From a row of `ISSUE_COLUMNS`."""
    return IssueRow(**found)  # columns by their names


_COUNT_COLUMNS = "audience, pending, in_flight, accepted, failed, suppressed, excluded, uncertain, cancelled"


async def find_issue(connection: AsyncConnection, issue_id: int, *, lock: bool = False) -> IssueRow | None:
    """`lock`: not FOR UPDATE, for which a fan-out's foreign key check would wait while it holds the issue's run."""
    result = await connection.execute(
        sa.text(f"""
            SELECT {ISSUE_COLUMNS} FROM publishing.issue WHERE id = :issue_id {"FOR NO KEY UPDATE" if lock else ""}
        """),  # constant texts
        {"issue_id": issue_id},
    )
    row = result.mappings().one_or_none()
    return None if row is None else issue_row(row)


async def find_newsletter_of_issue(connection: AsyncConnection, issue_id: int) -> int | None:
    result = await connection.execute(
        sa.text("SELECT newsletter_id FROM publishing.issue WHERE id = :issue_id"), {"issue_id": issue_id}
    )
    found: int | None = result.scalar_one_or_none()
    return found


class IssueFilter(msgspec.Struct, frozen=True):
    """Which issues a list is about; None: all. `title_part` is looked for in any case of its letters."""

    newsletter_ids: Collection[int] | None = None
    status: Status | None = None
    title_part: str | None = None


_STATUS_CONDITION: Final = """
    CASE WHEN CAST(:status AS text) IS NULL THEN true
         WHEN :status IN ('draft', 'scheduled') THEN issue.status = :status
         WHEN issue.status = 'cancelled' THEN :status = 'cancelled'
         WHEN issue.status <> 'published' THEN false
         ELSE :status = coalesce(
             (SELECT CASE run.state
                         WHEN 'finished' THEN 'sent'
                         WHEN 'open' THEN
                             CASE WHEN run.fan_out_finished_at IS NULL THEN 'publishing' ELSE 'sending' END
                         ELSE run.state
                     END
                FROM delivery.published_issue_progress AS run
               WHERE run.issue_id = issue.id),
             'publishing'
         )
    END
"""
"""As `status_of`. Delivery is asked of published issues only."""


async def list_issues(
    connection: AsyncConnection, chosen: IssueFilter, *, before_id: int | None, limit: int
) -> list[IssueRow]:
    """Newest first."""
    result = await connection.execute(
        sa.text(f"""
            SELECT {ISSUE_COLUMNS}
              FROM publishing.issue
             WHERE (:before_id IS NULL OR id < :before_id)
               AND (:newsletter_ids IS NULL OR newsletter_id = ANY(:newsletter_ids))
               AND (:title_part IS NULL OR title ILIKE :title_part)
               AND {_STATUS_CONDITION}
             ORDER BY id DESC
             LIMIT :limit
        """).bindparams(  # constant columns and conditions
            sa.bindparam("before_id", type_=sa.BigInteger),
            sa.bindparam("newsletter_ids", type_=postgresql.ARRAY(sa.BigInteger)),
            sa.bindparam("title_part", type_=sa.Text),
            sa.bindparam("status", type_=sa.Text),
        ),
        {
            "before_id": before_id,
            "limit": limit,
            "newsletter_ids": None if chosen.newsletter_ids is None else sorted(chosen.newsletter_ids),
            "title_part": None if chosen.title_part is None else _contains(chosen.title_part),
            "status": chosen.status,
        },
    )
    return [issue_row(row) for row in result.mappings()]


def _contains(part: str) -> str:
    """A pattern for LIKE; what would have a meaning in it stands for itself."""
    escaped = part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


async def read_progress(connection: AsyncConnection, issue_ids: Sequence[int]) -> dict[int, ProgressRow]:
    """What delivery publishes about those of the issues that it knows."""
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


async def segment_exists(connection: AsyncConnection, segment_id: int) -> bool:
    row = await connection.execute(
        sa.text("SELECT EXISTS (SELECT FROM subscriptions.published_segments WHERE segment_id = :segment_id)"),
        {"segment_id": segment_id},
    )
    return bool(row.scalar_one())


async def read_attribute_types(connection: AsyncConnection) -> dict[str, AttributeType]:
    """The attributes that merge fields may name, by name."""
    result = await connection.execute(sa.text("SELECT name, type FROM subscriptions.published_attributes"))
    return {row.name: row.type for row in result}


async def read_attribute_names(connection: AsyncConnection) -> frozenset[str]:
    return frozenset(await read_attribute_types(connection))


async def read_now(connection: AsyncConnection) -> datetime:
    """The time of the transaction."""
    now: datetime = (await connection.execute(sa.text("SELECT now()"))).scalar_one()
    return now


async def lock_slugs(connection: AsyncConnection, newsletter_id: int) -> None:
    """Those who set a slug of the newsletter's issues take turns, so that a taken one is an answer, never a fault."""
    await connection.execute(
        sa.text("SELECT pg_advisory_xact_lock(hashtextextended('publishing.issue.slug', :newsletter_id))"),
        {"newsletter_id": newsletter_id},
    )


async def set_published(connection: AsyncConnection, issue_id: int, *, in_waves: bool) -> IssueRow:
    """Freeze the issue and begin its fan-out; the audience is who is confirmed at this transaction's moment.

    `in_waves` false: to all at once, also if it was scheduled in the readers' time zones.
    """
    result = await connection.execute(
        sa.text(f"""
            UPDATE publishing.issue
               SET status = 'published', published_at = now(), updated_at = now(), schedule_note = NULL,
                   in_reader_time_zone = in_reader_time_zone AND :in_waves
             WHERE id = :issue_id
            RETURNING {ISSUE_COLUMNS}
        """),  # constant columns
        {"issue_id": issue_id, "in_waves": in_waves},
    )
    row = issue_row(result.mappings().one())
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
    return issue_row(result.mappings().one())
