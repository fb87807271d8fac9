"""Save a draft: what was sent changes, the rest stays, and the whole is kept as a revision; one transaction.

The issue's row lock serialises saves with publishing and scheduling.
"""

from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.audit import By, record_audit
from broadsheet_common.http.entity_tag import PreconditionFailedError, require_tag
from broadsheet_common.http.problems import ConflictError, FieldProblem, InvalidInputError, NotFoundError
from broadsheet_publishing.drafts import revision_store, store
from broadsheet_publishing.drafts.thin_revisions import versions_to_remove
from broadsheet_publishing.issues.interface import IssueRow, find_issue, lock_slugs, segment_exists
from broadsheet_publishing.newsletters.interface import layout_exists

THIN_EVERY: Final = 10
"""Saves between two looks at which revisions are not needed any more."""


class NotADraftError(ConflictError):
    slug, title = "not-a-draft", "Only a draft can be changed"


class SlugTakenError(ConflictError):
    slug, title = "slug-taken", "Another issue of the newsletter has this slug"


async def save_draft(
    connection: AsyncConnection,
    issue_id: int,
    values: Mapping[str, object],
    *,
    if_match: str | None,
    tag_of: Callable[[IssueRow], str],
    by: By,
    restored_from: int | None = None,
) -> IssueRow:
    """In the caller's transaction. `values` by column, as `parse_draft` returns them. What changes nothing is no new
    version. `tag_of` makes the entity tag that the caller was shown.

    Raises:
        NotFoundError, NotADraftError, PreconditionRequiredError, SlugTakenError
        PreconditionFailedError: it was saved since; says by whom and which version it is.
        InvalidInputError: there is no such segment or layout.
    """
    row = await lock_draft(connection, issue_id, if_match=if_match, tag_of=tag_of)
    await require_references(connection, values, newsletter_id=row.newsletter_id, issue_id=issue_id)
    updated = await store.update_draft(connection, issue_id, values=values, saved_by=by.person)
    if updated is None:
        return row
    saved, changed = updated
    await revision_store.insert_revision(connection, issue_id, restored_from=restored_from)
    await record_audit(
        connection,
        by,
        "issue.changed",
        issue_id,
        newsletter_id=row.newsletter_id,
        before={"version": row.version},
        after={"version": saved.version, "changed": list(changed)},
    )
    if saved.version % THIN_EVERY == 0:
        revisions, now = await revision_store.read_facts(connection, issue_id)
        if removed := versions_to_remove(revisions, now=now):
            await revision_store.remove_revisions(connection, issue_id, removed)
    return saved


async def lock_draft(
    connection: AsyncConnection, issue_id: int, *, if_match: str | None, tag_of: Callable[[IssueRow], str]
) -> IssueRow:
    """The issue, locked. Raises what `save_draft` raises."""
    row = await find_issue(connection, issue_id, lock=True)
    if row is None:
        raise NotFoundError("There is no such issue.")
    try:
        require_tag(if_match, tag_of(row))
    except PreconditionFailedError as error:
        by = f" by {row.saved_by}" if row.saved_by else ""
        error.detail = f"It is version {row.version} now, saved{by} at {row.updated_at.isoformat(timespec='seconds')}."
        raise
    if row.status == "scheduled":
        raise NotADraftError("The issue is scheduled: unschedule it first.")
    if row.status != "draft":
        raise NotADraftError(f"The issue is {row.status}: duplicate it to write another one.")
    return row


async def require_references(
    connection: AsyncConnection, values: Mapping[str, object], *, newsletter_id: int, issue_id: int
) -> None:
    """Raises `InvalidInputError` for a segment or layout that does not exist, `SlugTakenError`. `issue_id` 0: new."""
    segment_id, layout_id, slug = (values.get(name) for name in ("segment_id", "layout_id", "slug"))
    problems = []
    if isinstance(segment_id, int) and not await segment_exists(connection, segment_id):
        problems.append(FieldProblem(pointer="/segment_id", detail="There is no such segment."))
    if isinstance(layout_id, int) and not await layout_exists(connection, layout_id):
        problems.append(FieldProblem(pointer="/layout_id", detail="There is no such layout."))
    if problems:
        raise InvalidInputError(errors=tuple(problems))
    if isinstance(slug, str):
        await lock_slugs(connection, newsletter_id)
        if await store.slug_is_taken(connection, slug, newsletter_id=newsletter_id, by_other_than=issue_id):
            raise SlugTakenError(
                errors=(FieldProblem(pointer="/slug", detail="Another issue of the newsletter has this slug."),)
            )
