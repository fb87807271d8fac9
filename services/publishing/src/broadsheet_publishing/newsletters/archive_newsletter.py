"""Archive a newsletter, or take it back: an archived one takes no sign-ups and publishes nothing.

It is never deleted: its issues, and what its readers agreed to, stay on record.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.audit import AuditAction, By, record_audit
from broadsheet_common.http.problems import ConflictError, NotFoundError
from broadsheet_publishing.newsletters import store


class NewsletterInUseError(ConflictError):
    slug, title = "newsletter-in-use", "The newsletter cannot be archived now"


async def archive_newsletter(
    connection: AsyncConnection, newsletter_id: int, *, is_archived: bool, by: By
) -> store.NewsletterRow:
    """In the caller's transaction. Archiving an archived one changes nothing.

    Raises:
        NotFoundError
        NewsletterInUseError: it is the default one, or an issue is scheduled or on its way.
    """
    row = await store.find_newsletter(connection, newsletter_id, lock=True)
    if row is None:
        raise NotFoundError("There is no such newsletter.")
    if is_archived and row.is_default:
        raise NewsletterInUseError("The default newsletter cannot be archived.")
    if is_archived and await store.has_open_issues(connection, newsletter_id):
        raise NewsletterInUseError("An issue is scheduled or being sent: wait for it, or cancel it.")
    if (row.archived_at is not None) != is_archived:
        action: AuditAction = "newsletter.archived" if is_archived else "newsletter.unarchived"
        await record_audit(connection, by, action, newsletter_id, newsletter_id=newsletter_id)
    return await store.set_archived(connection, newsletter_id, is_archived=is_archived)
