"""Take a published issue out of the archive, or in; one transaction."""

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.audit import By
from broadsheet_common.http.problems import ConflictError, NotFoundError
from broadsheet_publishing.archive import store
from broadsheet_publishing.history.interface import record_step
from broadsheet_publishing.issues.interface import IssueRow, find_issue, give_web_path
from broadsheet_publishing.newsletters.interface import find_newsletter


class NotPublishedError(ConflictError):
    slug, title = "not-published", "The issue is not published"


async def change_archive(
    connection: AsyncConnection, issue_id: int, *, in_archive: bool, by: By
) -> tuple[IssueRow, bool]:
    """The issue, and whether anything changed. One that was published without an address on the web gets one as it is
    taken in; it is kept when the issue is taken out, because mails lead there.

    Raises:
        NotFoundError
        NotPublishedError: it may still be edited, or never went out.
    """
    issue = await find_issue(connection, issue_id, lock=True)
    if issue is None:
        raise NotFoundError("There is no such issue.")
    if issue.status in {"draft", "scheduled"}:
        raise NotPublishedError("Set `in_archive` of the draft; take the issue back first if it is scheduled.")
    if issue.status == "cancelled":
        raise NotPublishedError("The issue was cancelled before it was published.")
    changes = issue.in_archive != in_archive
    if in_archive:
        newsletter = await find_newsletter(connection, issue.newsletter_id, share=True)
        assert newsletter is not None, "the issue's foreign key"
        changes = await give_web_path(connection, issue, newsletter) or changes
    if not changes:
        return issue, False
    await store.set_in_archive(connection, issue_id, in_archive=in_archive)
    note = "Taken into the archive." if in_archive else "Taken out of the archive."
    await record_step(
        connection,
        issue_id,
        "archive_changed",
        by=by,
        note=note,
        before={"in_archive": issue.in_archive},
        after={"in_archive": in_archive},
    )
    changed = await find_issue(connection, issue_id)
    assert changed is not None, "its row is locked"
    return changed, True
