"""Schedule an issue, reschedule it, or make it a draft again; one transaction each.

The issue's row lock serialises them with publishing, by hand or by schedule. Time is the database's. What is scheduled
is compiled at once: its author sees faults now, and what goes out is what was looked at.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.audit import By, moment
from broadsheet_common.http.problems import FieldProblem, InvalidInputError
from broadsheet_publishing.audience.expect_audience import forget_expectation
from broadsheet_publishing.history.interface import record_step
from broadsheet_publishing.issues.compile_draft import CompiledDraft
from broadsheet_publishing.issues.interface import IssueRow, drop_compiled, read_now
from broadsheet_publishing.issues.publish_issue import (
    AlreadyPublishedError,
    find_ready_newsletter,
    keep_compiled,
    lock_unpublished,
    require_approval,
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
    in_reader_time_zone: bool,
    compiled: CompiledDraft | None,
    installation: Installation,
    by: By,
) -> IssueRow:
    """`schedule.parse_schedule` says what `at` may be.

    Raises:
        NotFoundError, AlreadyPublishedError, InvalidInputError, NewsletterNotReadyError, DraftChangedError,
        NotApprovedError
        ConflictError: the issue was cancelled.
    """
    issue = await lock_unpublished(connection, issue_id)
    now = await read_now(connection)
    newsletter = await find_ready_newsletter(connection, issue.newsletter_id, installation)
    if in_reader_time_zone and time_zone is None:
        time_zone = newsletter.time_zone
    chosen = parse_schedule(
        at=at, time_zone=time_zone, occurrence=occurrence, in_reader_time_zone=in_reader_time_zone, now=now
    )
    if compiled is None:
        # It was published or cancelled when it was read to be compiled, and neither is ever undone.
        raise AlreadyPublishedError
    if in_reader_time_zone and compiled.others:
        detail = "An A/B test goes out to all at one time: leave out the one or the other."
        raise InvalidInputError(errors=(FieldProblem(pointer="/in_reader_time_zone", detail=detail),))
    await require_approval(connection, issue, newsletter)
    await keep_compiled(connection, issue, newsletter, compiled)
    scheduled = await schedule_store.set_scheduled(connection, issue_id, chosen)
    await record_step(
        connection,
        issue_id,
        "scheduled",
        by=by,
        note=f"For {chosen.instant.isoformat(timespec='seconds')}.",
        before={"status": issue.status},
        after={"scheduled_for": moment(chosen.instant), "in_reader_time_zone": in_reader_time_zone},
    )
    return scheduled


async def unschedule_issue(connection: AsyncConnection, issue_id: int, *, by: By) -> IssueRow:
    """A draft again; a draft stays one.

    Raises:
        NotFoundError, AlreadyPublishedError
        ConflictError: the issue was cancelled.
    """
    issue = await lock_unpublished(connection, issue_id)
    await drop_compiled(connection, issue_id)
    await forget_expectation(connection, issue_id)
    if issue.status == "scheduled":
        await record_step(connection, issue_id, "unscheduled", by=by)
    return await schedule_store.set_draft(connection, issue_id, note=None)
