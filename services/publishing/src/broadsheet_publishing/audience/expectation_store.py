"""The SQL of what authors expect of audiences: functions that take the connection of the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_publishing.audience.audience import Limits
from broadsheet_publishing.audience.audience_token import ShownAudience


class Expectation(msgspec.Struct, frozen=True):
    shown_count: int
    shown_at: datetime
    segment_id: int | None
    filter_digest: str | None
    growth_max: int | None
    shrinkage_max: int | None
    trial_id: int | None
    found_count: int | None

    @property
    def limits(self) -> Limits:
        return Limits(self.growth_max, self.shrinkage_max)


class DueIssue(msgspec.Struct, frozen=True):
    """A scheduled issue that is due, goes to a segment, and whose segment's members are not known. `is_waiting`: they
    are being looked for.
    """

    issue_id: int
    newsletter_id: int
    segment_id: int
    trial_id: int | None
    is_waiting: bool


_COLUMNS = ", ".join(Expectation.__struct_fields__)
_UNPUBLISHED = "status IN ('draft', 'scheduled')"


async def put_expectation(
    connection: AsyncConnection, shown: ShownAudience, limits: Limits, *, trial_id: int | None
) -> None:
    """In place of another one. A published issue keeps what it has."""
    await connection.execute(
        sa.text(f"""
            INSERT INTO publishing.audience_expectation AS kept
                   (issue_id, shown_count, shown_at, segment_id, filter_digest, growth_max, shrinkage_max, trial_id)
            SELECT id, :shown_count, :shown_at, :segment_id, :filter_digest, :growth_max, :shrinkage_max, :trial_id
              FROM publishing.issue WHERE id = :issue_id AND {_UNPUBLISHED}
            ON CONFLICT (issue_id) DO UPDATE
               SET shown_count = excluded.shown_count, shown_at = excluded.shown_at, segment_id = excluded.segment_id,
                   filter_digest = excluded.filter_digest, growth_max = excluded.growth_max,
                   shrinkage_max = excluded.shrinkage_max, trial_id = excluded.trial_id, found_count = NULL
        """).bindparams(  # a constant condition
            sa.bindparam("shown_count", type_=sa.BigInteger),
            sa.bindparam("shown_at", type_=sa.DateTime(timezone=True)),
            sa.bindparam("segment_id", type_=sa.BigInteger),
            sa.bindparam("filter_digest", type_=sa.Text),
            sa.bindparam("growth_max", type_=sa.BigInteger),
            sa.bindparam("shrinkage_max", type_=sa.BigInteger),
            sa.bindparam("trial_id", type_=sa.BigInteger),
        ),
        {
            "issue_id": shown.issue_id,
            "shown_count": shown.count,
            "shown_at": shown.as_of,
            "segment_id": shown.segment_id,
            "filter_digest": shown.filter_digest,
            "growth_max": limits.growth_max,
            "shrinkage_max": limits.shrinkage_max,
            "trial_id": trial_id,
        },
    )


async def delete_expectation(connection: AsyncConnection, issue_id: int) -> None:
    """Of an issue that is not published."""
    await connection.execute(
        sa.text(f"""
            DELETE FROM publishing.audience_expectation AS kept USING publishing.issue
             WHERE kept.issue_id = :issue_id AND issue.id = kept.issue_id AND {_UNPUBLISHED}
        """),  # a constant condition
        {"issue_id": issue_id},
    )


async def find_expectation(connection: AsyncConnection, issue_id: int) -> Expectation | None:
    result = await connection.execute(
        sa.text(f"SELECT {_COLUMNS} FROM publishing.audience_expectation WHERE issue_id = :issue_id"),
        {"issue_id": issue_id},
    )  # constant columns
    row = result.one_or_none()
    return None if row is None else Expectation(*row)


async def set_found(connection: AsyncConnection, issue_id: int, *, found_count: int) -> None:
    await connection.execute(
        sa.text("UPDATE publishing.audience_expectation SET found_count = :found_count WHERE issue_id = :issue_id"),
        {"issue_id": issue_id, "found_count": found_count},
    )


async def set_trial(connection: AsyncConnection, issue_id: int, *, trial_id: int, instead_of: int | None) -> bool:
    """False: another replica has set one."""
    result = await connection.execute(
        sa.text("""
            UPDATE publishing.audience_expectation SET trial_id = :trial_id
             WHERE issue_id = :issue_id AND trial_id IS NOT DISTINCT FROM :instead_of
        """).bindparams(sa.bindparam("instead_of", type_=sa.BigInteger)),
        {"issue_id": issue_id, "trial_id": trial_id, "instead_of": instead_of},
    )
    return result.rowcount == 1


async def list_due_without_members(
    connection: AsyncConnection, *, resting_issue_ids: Sequence[int], fresh_s: float, limit: int
) -> list[DueIssue]:
    """The one due longest first. Members that were looked for more than `fresh_s` seconds ago count no more."""
    result = await connection.execute(
        sa.text("""
            SELECT due.id, due.newsletter_id, due.segment_id, expected.trial_id, trial.issue_id IS NOT NULL
              FROM publishing.issue AS due
              JOIN publishing.audience_expectation AS expected ON expected.issue_id = due.id
              LEFT JOIN subscriptions.published_audience_requests AS trial
                ON trial.issue_id = expected.trial_id AND trial.released_at IS NULL
               AND trial.frozen_at > now() - make_interval(secs => :fresh_s)
             WHERE due.status = 'scheduled' AND due.scheduled_at <= now() AND due.segment_id IS NOT NULL
               AND due.id <> ALL(CAST(:resting_issue_ids AS bigint[])) AND trial.completed_at IS NULL
             ORDER BY due.scheduled_at, due.id
             LIMIT :limit
        """).bindparams(sa.bindparam("fresh_s", type_=sa.Double)),
        {"resting_issue_ids": list(resting_issue_ids), "fresh_s": fresh_s, "limit": limit},
    )
    return [DueIssue(*row) for row in result]
