"""SQL that notes what the mails of an issue asked Postmark to track, for its report."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection


async def note_tracking(connection: AsyncConnection, *, issue_id: int, tracks_opens: bool, tracks_links: bool) -> None:
    """Once any mail was tracked, the issue is. Locks nothing where that is noted already."""
    await connection.execute(
        sa.text("""
            UPDATE delivery.issue_run
               SET tracks_opens = tracks_opens OR :tracks_opens, tracks_links = tracks_links OR :tracks_links
             WHERE issue_id = :issue_id
               AND ((:tracks_opens AND NOT tracks_opens) OR (:tracks_links AND NOT tracks_links))
        """).bindparams(sa.bindparam("tracks_opens", type_=sa.Boolean), sa.bindparam("tracks_links", type_=sa.Boolean)),
        {"issue_id": issue_id, "tracks_opens": tracks_opens, "tracks_links": tracks_links},
    )
