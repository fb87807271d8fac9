"""Publish an issue: freeze its content and its audience, and begin the fan-out; one transaction.

The issue's row lock serialises publishers, so an issue has one run however many requests come at once.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.audience import request_audience
from broadsheet_common.contracts.queue import open_issue_run
from broadsheet_common.http.problems import ConflictError, NotFoundError, ProblemError
from broadsheet_publishing.fan_out.interface import has_audience
from broadsheet_publishing.issues import store


class AlreadyPublishedError(ProblemError):
    slug, title, status = "already-published", "This issue is published already", 409


class SegmentGoneError(ConflictError):
    slug, title = "segment-gone", "The segment that this issue is to go to was deleted"


class NoRecipientsError(ProblemError):
    slug, title, status = "no-recipients", "Nobody is confirmed on this newsletter, so nobody would get the issue", 409


async def publish_issue(connection: AsyncConnection, issue_id: int) -> store.IssueRow:
    """In the caller's transaction, which the fan-out worker sees once it is committed.

    Raises:
        NotFoundError, AlreadyPublishedError, NoRecipientsError, SegmentGoneError
        ConflictError: the issue was cancelled.
    """
    issue = await store.find_issue(connection, issue_id, lock=True)
    if issue is None:
        raise NotFoundError("There is no such issue.")
    if issue.status == "published":
        raise AlreadyPublishedError
    if issue.status == "cancelled":
        raise ConflictError("The issue was cancelled.")
    if not await has_audience(connection, issue.newsletter_id):
        raise NoRecipientsError
    if issue.segment_id is not None and not await request_audience(
        connection, issue_id=issue_id, newsletter_id=issue.newsletter_id, segment_id=issue.segment_id
    ):
        raise SegmentGoneError
    published = await store.set_published(connection, issue_id)
    await open_issue_run(connection, issue_id=issue_id, newsletter_id=issue.newsletter_id)
    return published
