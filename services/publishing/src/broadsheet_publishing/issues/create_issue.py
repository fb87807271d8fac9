"""Write an issue: a draft, or one that is published in the same transaction."""

from collections.abc import Mapping

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.contracts.audit import By
from broadsheet_publishing.compiling.compiler import Compiler
from broadsheet_publishing.drafts.create_draft import create_draft, find_open_newsletter
from broadsheet_publishing.drafts.draft import DRAFT_FIELDS, Draft
from broadsheet_publishing.drafts.save_draft import require_references
from broadsheet_publishing.issues import store
from broadsheet_publishing.issues.compile_draft import (
    CompiledDraft,
    compile_variants,
    is_in_archive,
    read_compile_input,
)
from broadsheet_publishing.issues.publish_issue import publish_issue
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.newsletters.readiness import require_ready


class NewIssue(msgspec.Struct, frozen=True):
    """`values` by column, as `parse_draft` returns them; `newsletter_id` None is the default newsletter."""

    values: Mapping[str, object]
    newsletter_id: int | None


async def compile_new_issue(
    engine: AsyncEngine, compiler: Compiler, installation: Installation, new: NewIssue
) -> CompiledDraft:
    """Before it is there: its first version.

    Raises:
        InvalidInputError: there is no such newsletter, layout or segment.
        NewsletterArchivedError, NewsletterNotReadyError, IssueHasFaultsError
    """
    draft = Draft(**{name: value for name, value in new.values.items() if name in DRAFT_FIELDS})  # type: ignore[arg-type]  # parsed
    chosen, segment_id = new.values.get("in_archive"), new.values.get("segment_id")
    async with engine.connect() as connection:
        newsletter = await find_open_newsletter(connection, new.newsletter_id)
        require_ready(newsletter, installation)
        named = {name: value for name, value in new.values.items() if name in {"layout_id", "segment_id"}}
        await require_references(connection, named, newsletter_id=newsletter.id, issue_id=0)
        given = await read_compile_input(
            connection,
            draft,
            newsletter,
            in_archive=is_in_archive(
                chosen if isinstance(chosen, bool) else None,
                segment_id if isinstance(segment_id, int) else None,
                newsletter,
            ),
        )
    content, *others = await compile_variants(compiler, given)
    return CompiledDraft(
        issue_id=0, version=1, content=content, others=tuple(others), given=given, newsletter=newsletter
    )


async def create_issue(
    connection: AsyncConnection,
    new: NewIssue,
    *,
    compiled: CompiledDraft | None,
    by: By,
    installation: Installation,
) -> store.IssueRow:
    """In the caller's transaction. With `compiled` it is published.

    Raises:
        InvalidInputError: there is no such newsletter, segment or layout.
        NewsletterArchivedError, SlugTakenError
        NoRecipientsError, NewsletterNotReadyError: it was to be published; no draft stays behind.
    """
    row = await create_draft(connection, new.values, newsletter_id=new.newsletter_id, by=by)
    if compiled is None:
        return row
    return await publish_issue(connection, row.id, compiled=compiled, installation=installation, by=by)
