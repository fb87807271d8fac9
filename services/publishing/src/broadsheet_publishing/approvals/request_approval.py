"""Ask for an issue's approval, and decide about it; one transaction each.

The issue's row lock serialises them with saves: a decision is about what was looked at.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.audit import By
from broadsheet_common.http.problems import ConflictError, ForbiddenError, NotFoundError
from broadsheet_publishing.approvals import store
from broadsheet_publishing.approvals.approval import Approval, Decision, may_decide, state_of
from broadsheet_publishing.drafts.save_draft import NotADraftError
from broadsheet_publishing.history.interface import record_step
from broadsheet_publishing.issues.interface import IssueRow, find_issue


class NothingToDecideError(ConflictError):
    slug, title = "nothing-to-decide", "No approval of the issue as it is now was asked for"


class AskedAlreadyError(ConflictError):
    slug, title = "asked-already", "The approval of this version was asked for already"


class NotYoursToDecideError(ForbiddenError):
    slug, title = "not-yours-to-decide", "Another person has to decide about it"


async def request_approval(
    connection: AsyncConnection, issue_id: int, *, by: By, note: str
) -> tuple[IssueRow, Approval]:
    """Of the draft as it is now.

    Raises:
        NotFoundError, NotADraftError, AskedAlreadyError
    """
    issue = await _lock_draft(connection, issue_id)
    before = await store.find_approval(connection, issue_id)
    if state_of(before, version=issue.version) in {"requested", "approved"}:
        raise AskedAlreadyError
    approval = await store.insert_request(
        connection, issue_id, version=issue.version, requested_by=by.person, note=note
    )
    await record_step(connection, issue_id, "approval_requested", by=by, actor=by.person, note=note)
    return issue, approval


async def decide_approval(
    connection: AsyncConnection, issue_id: int, *, version: int, decision: Decision, by: By, note: str
) -> tuple[IssueRow, Approval]:
    """`version`: the one that was looked at.

    Raises:
        NotFoundError, NotADraftError
        NothingToDecideError: it was not asked for, is decided, or the issue has another version now.
        NotYoursToDecideError: who asked or wrote does not decide, and an API key neither.
    """
    issue = await _lock_draft(connection, issue_id)
    approval = await store.find_approval(connection, issue_id)
    if approval is None or issue.version != version or state_of(approval, version=issue.version) != "requested":
        raise NothingToDecideError
    if not may_decide(by.subject, requested_by=approval.requested_by, saved_by=issue.saved_by):
        raise NotYoursToDecideError
    decided = await store.set_decision(connection, approval.id, decision=decision, decided_by=by.subject, note=note)
    await record_step(connection, issue_id, decision, by=by, note=note)
    return issue, decided


async def _lock_draft(connection: AsyncConnection, issue_id: int) -> IssueRow:
    issue = await find_issue(connection, issue_id, lock=True)
    if issue is None:
        raise NotFoundError("There is no such issue.")
    if issue.status != "draft":
        raise NotADraftError(f"The issue is {issue.status}.")
    return issue
