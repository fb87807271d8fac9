"""Whether data was removed because of its age, and the problem that says so."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.problems import NotFoundError, ProblemError


class RemovedError(ProblemError):
    slug, title, status = "removed", "What is asked for was removed because it is old", 410


async def refuse_removed(connection: AsyncConnection, *, issue_id: int) -> None:
    """For requests that need the deliveries of an issue.

    Raises:
        NotFoundError: the issue was never published.
        RemovedError: its deliveries were removed, or are being removed; its counts are still there.
    """
    row = await connection.execute(
        sa.text("""
            SELECT outcomes_removed_at IS NOT NULL
                   OR (partition_stage = 'removed') IS TRUE
              FROM delivery.issue_run WHERE issue_id = :issue_id
        """),
        {"issue_id": issue_id},
    )
    removed = row.scalar_one_or_none()
    if removed is None:
        raise NotFoundError("No issue with this id has been published.")
    if removed:
        raise RemovedError("The issue ended long ago; only its counts are kept.")
