"""The contract of audiences: publishing asks subscriptions to freeze a segment for an issue, and later to release
it.

Both run in the caller's transaction, through functions that the migrations define in the schema `subscriptions`.
Between the two calls publishing reads `published_complete_audiences` and `published_audience_blocks`.
"""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection


async def request_audience(connection: AsyncConnection, *, issue_id: int, newsletter_id: int, segment_id: int) -> bool:
    """Freeze the segment as it is now. False: there is no such segment."""
    row = await connection.execute(
        sa.text("SELECT subscriptions.request_audience(:issue_id, :newsletter_id, :segment_id)"),
        {"issue_id": issue_id, "newsletter_id": newsletter_id, "segment_id": segment_id},
    )
    return bool(row.scalar_one())


async def release_audience(connection: AsyncConnection, *, issue_id: int) -> None:
    """Release the members: all are enqueued, or the issue was cancelled. May be repeated."""
    await connection.execute(sa.text("SELECT subscriptions.release_audience(:issue_id)"), {"issue_id": issue_id})
