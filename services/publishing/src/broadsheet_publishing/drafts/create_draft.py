"""Write a new draft, or duplicate an issue as one; in the caller's transaction."""

from collections.abc import Mapping

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.audit import By
from broadsheet_common.http.problems import ConflictError, FieldProblem, InvalidInputError, NotFoundError
from broadsheet_publishing.drafts import revision_store, store
from broadsheet_publishing.drafts.save_draft import require_references
from broadsheet_publishing.history.interface import record_step
from broadsheet_publishing.issues.interface import IssueRow, find_issue, segment_exists
from broadsheet_publishing.newsletters.interface import (
    NewsletterRow,
    find_default_newsletter_id,
    find_newsletter,
    layout_exists,
)


class NewsletterArchivedError(ConflictError):
    slug, title = "newsletter-archived", "The newsletter is archived"


async def create_draft(
    connection: AsyncConnection,
    values: Mapping[str, object],
    *,
    newsletter_id: int | None,
    by: By,
    duplicate_of: int | None = None,
) -> IssueRow:
    """`values` by column, as `parse_draft` returns them; `newsletter_id` None is the default newsletter.

    Raises:
        InvalidInputError: there is no such newsletter, segment or layout.
        NewsletterArchivedError, SlugTakenError
    """
    newsletter = await find_open_newsletter(connection, newsletter_id)
    await require_references(connection, values, newsletter_id=newsletter.id, issue_id=0)
    row = await store.insert_draft(connection, newsletter_id=newsletter.id, values=values, saved_by=by.subject)
    await revision_store.insert_revision(connection, row.id)
    if duplicate_of is None:
        await record_step(connection, row.id, "created", by=by)
    else:
        await record_step(
            connection,
            row.id,
            "duplicated",
            by=by,
            note=f"Of issue {duplicate_of}.",
            after={"duplicate_of": duplicate_of},
        )
    return row


async def duplicate_issue(connection: AsyncConnection, issue_id: int, *, by: By) -> IssueRow:
    """A draft with the same content, for the same newsletter and segment, whatever the issue's state.

    A segment or layout that was deleted since is left out. It gets a slug of its own.

    Raises:
        NotFoundError, NewsletterArchivedError
    """
    issue = await find_issue(connection, issue_id)
    if issue is None:
        raise NotFoundError("There is no such issue.")
    draft = await store.read_draft(connection, issue_id)
    values = msgspec.structs.asdict(draft) | {"segment_id": issue.segment_id, "in_archive": issue.in_archive}
    if issue.segment_id is not None and not await segment_exists(connection, issue.segment_id):
        values["segment_id"] = None
    if draft.layout_id is not None and not await layout_exists(connection, draft.layout_id):
        values["layout_id"] = None
    return await create_draft(connection, values, newsletter_id=issue.newsletter_id, by=by, duplicate_of=issue_id)


async def find_open_newsletter(connection: AsyncConnection, newsletter_id: int | None) -> NewsletterRow:
    """None: the default one. Raises `InvalidInputError` if there is none, `NewsletterArchivedError`."""
    chosen = newsletter_id or await find_default_newsletter_id(connection)
    newsletter = None if chosen is None else await find_newsletter(connection, chosen)
    if newsletter is None:
        raise InvalidInputError(errors=(FieldProblem(pointer="/newsletter_id", detail="There is no such newsletter."),))
    if newsletter.archived_at is not None:
        raise NewsletterArchivedError
    return newsletter
