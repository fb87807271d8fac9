"""Delete an issue that nobody ever got, with its revisions; in the caller's transaction."""

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.audit import By, Detail, record_audit
from broadsheet_common.http.problems import NotFoundError
from broadsheet_publishing.drafts import store
from broadsheet_publishing.drafts.save_draft import NotADraftError
from broadsheet_publishing.issues.interface import find_issue


async def delete_draft(connection: AsyncConnection, issue_id: int, *, by: By) -> None:
    """A draft, or one that was cancelled before it was published.

    Raises:
        NotFoundError
        NotADraftError: it is scheduled, or was published.
    """
    issue = await find_issue(connection, issue_id, lock=True)
    if issue is None:
        raise NotFoundError("There is no such issue.")
    if issue.status == "scheduled":
        raise NotADraftError("The issue is scheduled: unschedule it first.")
    if issue.status == "published":
        raise NotADraftError("A published issue stays on record. Cancel what is not sent yet.")
    await store.delete_draft(connection, issue_id)
    before: dict[str, Detail] = {"version": issue.version, "status": issue.status}
    await record_audit(connection, by, "issue.deleted", issue_id, newsletter_id=issue.newsletter_id, before=before)
