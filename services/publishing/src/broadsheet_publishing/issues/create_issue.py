"""Write an issue: a draft, or one that is published in the same transaction."""

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.problems import FieldProblem, InvalidInputError
from broadsheet_publishing.issues import store
from broadsheet_publishing.issues.issue import IssueContent
from broadsheet_publishing.issues.publish_issue import publish_issue
from broadsheet_publishing.newsletters.interface import find_default_newsletter_id, find_newsletter


async def create_issue(
    connection: AsyncConnection,
    *,
    content: IssueContent,
    newsletter_id: int | None,
    segment_id: int | None,
    created_by: str,
    publish: bool,
) -> store.IssueRow:
    """In the caller's transaction; `newsletter_id` None is the default newsletter.

    Raises:
        InvalidInputError: there is no such newsletter, or no such segment.
        NoRecipientsError: `publish`, and nobody is confirmed on the newsletter; no draft stays behind.
    """
    chosen = await _find_newsletter_id(connection, newsletter_id)
    if segment_id is not None and not await store.segment_exists(connection, segment_id):
        raise InvalidInputError(errors=(FieldProblem(pointer="/segment_id", detail="There is no such segment."),))
    row = await store.insert_issue(
        connection, newsletter_id=chosen, content=content, created_by=created_by, segment_id=segment_id
    )
    return await publish_issue(connection, row.id) if publish else row


async def _find_newsletter_id(connection: AsyncConnection, newsletter_id: int | None) -> int:
    if newsletter_id is None:
        found = await find_default_newsletter_id(connection)
    else:
        newsletter = await find_newsletter(connection, newsletter_id)
        found = None if newsletter is None else newsletter.id
    if found is None:
        raise InvalidInputError(errors=(FieldProblem(pointer="/newsletter_id", detail="There is no such newsletter."),))
    return found
