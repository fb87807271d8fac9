"""SQL of the checks. Every function takes the connection of its caller's transaction."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_publishing.checks.postmark_facts import Preflight


async def find_preflight(connection: AsyncConnection, newsletter_id: int) -> tuple[Preflight | None, datetime]:
    """What delivery last learned of the newsletter, and the database's time."""
    row = (
        await connection.execute(
            sa.text("""
                SELECT now(), fact.checked_at, fact.message_stream, fact.unsubscribe_handling, fact.stream_state,
                       fact.stream_reason, fact.sender, fact.sender_state, fact.sender_reason
                  FROM (SELECT) AS always
                  LEFT JOIN delivery.published_preflight AS fact ON fact.newsletter_id = :newsletter_id
            """),
            {"newsletter_id": newsletter_id},
        )
    ).one()
    now, checked_at, *rest = row
    return (None if checked_at is None else Preflight(checked_at, *rest)), now
