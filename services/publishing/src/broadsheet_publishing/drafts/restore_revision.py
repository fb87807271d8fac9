"""Make a draft what it was at an earlier save, as a new version, so that it can be undone as well; one transaction."""

from collections.abc import Callable

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.audit import By
from broadsheet_common.http.problems import NotFoundError
from broadsheet_publishing.drafts import revision_store
from broadsheet_publishing.drafts.draft import Draft
from broadsheet_publishing.drafts.save_draft import save_draft
from broadsheet_publishing.history.interface import record_step
from broadsheet_publishing.issues.interface import IssueRow
from broadsheet_publishing.newsletters.interface import layout_exists


async def find_revision(
    connection: AsyncConnection, issue_id: int, version: int
) -> tuple[revision_store.RevisionRow, Draft]:
    """Raises `NotFoundError`."""
    found = await revision_store.find_revision(connection, issue_id, version)
    if found is None:
        raise NotFoundError("There is no such version of this issue, or it was thinned out.")
    return found


async def restore_revision(
    connection: AsyncConnection,
    issue_id: int,
    version: int,
    *,
    if_match: str | None,
    tag_of: Callable[[IssueRow], str],
    by: By,
) -> IssueRow:
    """In the caller's transaction. A layout that was deleted since is left out.

    Raises:
        NotFoundError, NotADraftError, PreconditionRequiredError, PreconditionFailedError
    """
    _, draft = await find_revision(connection, issue_id, version)
    if draft.layout_id is not None and not await layout_exists(connection, draft.layout_id):
        draft = msgspec.structs.replace(draft, layout_id=None)
    row = await save_draft(
        connection,
        issue_id,
        msgspec.structs.asdict(draft),
        if_match=if_match,
        tag_of=tag_of,
        by=by,
        restored_from=version,
    )
    await record_step(
        connection,
        issue_id,
        "restored",
        by=by,
        actor=by.person,
        note=f"Version {version}.",
        after={"restored_version": version},
    )
    return row
