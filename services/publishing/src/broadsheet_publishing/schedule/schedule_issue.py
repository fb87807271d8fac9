"""Schedule an issue, reschedule it, or make it a draft again; one transaction each.

The issue's row lock serialises them with publishing, by hand or by schedule. Time is the database's.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.problems import ConflictError, NotFoundError
from broadsheet_publishing.issues.interface import IssueRow, find_issue
from broadsheet_publishing.issues.publish_issue import AlreadyPublishedError
from broadsheet_publishing.schedule import store as schedule_store
from broadsheet_publishing.schedule.schedule import Occurrence, parse_schedule


async def schedule_issue(
    connection: AsyncConnection, issue_id: int, *, at: str, time_zone: str | None, occurrence: Occurrence | None
) -> IssueRow:
    """`schedule.parse_schedule` says what `at` may be.

    Raises:
        NotFoundError, AlreadyPublishedError, InvalidInputError
        ConflictError: the issue was cancelled.
    """
    await _lock(connection, issue_id)
    now = await schedule_store.read_now(connection)
    chosen = parse_schedule(at=at, time_zone=time_zone, occurrence=occurrence, now=now)
    return await schedule_store.set_scheduled(connection, issue_id, chosen)


async def unschedule_issue(connection: AsyncConnection, issue_id: int) -> IssueRow:
    """A draft again; a draft stays one.

    Raises:
        NotFoundError, AlreadyPublishedError
        ConflictError: the issue was cancelled.
    """
    await _lock(connection, issue_id)
    return await schedule_store.set_draft(connection, issue_id, note=None)


async def _lock(connection: AsyncConnection, issue_id: int) -> None:
    issue = await find_issue(connection, issue_id, lock=True)
    if issue is None:
        raise NotFoundError("There is no such issue.")
    if issue.status == "published":
        raise AlreadyPublishedError
    if issue.status == "cancelled":
        raise ConflictError("The issue was cancelled.")
