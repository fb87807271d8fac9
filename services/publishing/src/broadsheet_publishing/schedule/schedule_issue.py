"""Schedule an issue, reschedule it, or make it a draft again; one transaction each.

The issue's row lock serialises them with publishing, by hand or by schedule. Time is the database's. What is scheduled
is compiled at once: its author sees faults now, and what goes out is what was looked at.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_publishing.issues.compile_draft import CompiledDraft
from broadsheet_publishing.issues.interface import IssueRow, drop_compiled
from broadsheet_publishing.issues.publish_issue import (
    AlreadyPublishedError,
    find_ready_newsletter,
    keep_compiled,
    lock_unpublished,
)
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.schedule import store as schedule_store
from broadsheet_publishing.schedule.schedule import Occurrence, parse_schedule


async def schedule_issue(
    connection: AsyncConnection,
    issue_id: int,
    *,
    at: str,
    time_zone: str | None,
    occurrence: Occurrence | None,
    compiled: CompiledDraft | None,
    installation: Installation,
) -> IssueRow:
    """`schedule.parse_schedule` says what `at` may be.

    Raises:
        NotFoundError, AlreadyPublishedError, InvalidInputError, NewsletterNotReadyError, DraftChangedError
        ConflictError: the issue was cancelled.
    """
    issue = await lock_unpublished(connection, issue_id)
    now = await schedule_store.read_now(connection)
    chosen = parse_schedule(at=at, time_zone=time_zone, occurrence=occurrence, now=now)
    newsletter = await find_ready_newsletter(connection, issue.newsletter_id, installation)
    if compiled is None:
        # It was published or cancelled when it was read; it has come back to life in no way.
        raise AlreadyPublishedError
    await keep_compiled(connection, issue, newsletter, compiled)
    return await schedule_store.set_scheduled(connection, issue_id, chosen)


async def unschedule_issue(connection: AsyncConnection, issue_id: int) -> IssueRow:
    """A draft again; a draft stays one.

    Raises:
        NotFoundError, AlreadyPublishedError
        ConflictError: the issue was cancelled.
    """
    await lock_unpublished(connection, issue_id)
    await drop_compiled(connection, issue_id)
    return await schedule_store.set_draft(connection, issue_id, note=None)
