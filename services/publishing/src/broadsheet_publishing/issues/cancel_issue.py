"""Cancel an issue: a draft finally; a published one with whatever is not sent yet. What was accepted stays accepted.

One transaction. The issue's row lock serialises it with publishing.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts import queue
from broadsheet_common.contracts.audience import release_audience
from broadsheet_common.contracts.audit import By
from broadsheet_common.http.problems import ConflictError, NotFoundError
from broadsheet_publishing.history.interface import record_step
from broadsheet_publishing.issues import store


class AlreadySentError(ConflictError):
    slug, title = "already-sent", "The issue has been sent"


async def cancel_issue(connection: AsyncConnection, issue_id: int, *, by: By) -> store.IssueRow:
    """Cancelling a cancelled issue changes nothing.

    Raises:
        NotFoundError, AlreadySentError
    """
    issue = await store.find_issue(connection, issue_id, lock=True)
    if issue is None:
        raise NotFoundError("There is no such issue.")
    if issue.status == "cancelled":
        return issue
    if issue.status in {"draft", "scheduled"}:
        await record_step(connection, issue_id, "cancelled", by=by, before={"status": issue.status})
        return await store.set_cancelled(connection, issue_id)
    if await queue.cancel_issue(connection, issue_id=issue_id, cancelled_by=by.subject) == "finished":
        raise AlreadySentError
    if issue.segment_id is not None:
        # The fan-out must not wait for a segment that is not needed any more: it then ends with nobody.
        await release_audience(connection, issue_id=issue_id)
    await record_step(connection, issue_id, "cancelled", by=by, before={"status": issue.status})
    return issue
