"""The contract of audiences: publishing asks subscriptions to freeze a segment for an issue, and later to release
it.

Both run in the caller's transaction, through functions that the migrations define in the schema `subscriptions`.
Between the two calls publishing reads `published_complete_audiences` and `published_audience_blocks`.

A trial is an audience that is counted and never sent. Its number is negative and stands where an issue's would.
"""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection


async def request_audience(connection: AsyncConnection, *, issue_id: int, newsletter_id: int, segment_id: int) -> bool:
    """Freeze the segment as it is now. False: there is no such segment."""
    row = await connection.execute(
        sa.text("SELECT subscriptions.request_audience(:issue_id, :newsletter_id, :segment_id)"),
        {"issue_id": issue_id, "newsletter_id": newsletter_id, "segment_id": segment_id},
    )
    return bool(row.scalar_one())


TOO_MANY_TRIALS: Final = 0


async def request_audience_trial(connection: AsyncConnection, *, newsletter_id: int, segment_id: int) -> int | None:
    """Have the segment's members found, as `request_audience` would. Returns the trial's number, or TOO_MANY_TRIALS;
    None: there is no such segment.
    """
    row = await connection.execute(
        sa.text("SELECT subscriptions.request_audience_trial(:newsletter_id, :segment_id)"),
        {"newsletter_id": newsletter_id, "segment_id": segment_id},
    )
    trial_id: int | None = row.scalar_one()
    return trial_id


async def release_audience(connection: AsyncConnection, *, issue_id: int) -> None:
    """Release the members: all are enqueued, or the issue was cancelled. May be repeated."""
    await connection.execute(sa.text("SELECT subscriptions.release_audience(:issue_id)"), {"issue_id": issue_id})
