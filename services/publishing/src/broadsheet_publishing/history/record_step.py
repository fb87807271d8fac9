"""Record a step of an issue's life, in the transaction that takes it: for its readers in the history, and in the audit
log, which nobody can change.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.audit import AuditAction, By, Detail, record_audit
from broadsheet_publishing.history import store
from broadsheet_publishing.history.step import StepName

_ACTIONS: Final[Mapping[StepName, AuditAction]] = {
    "created": "issue.created",
    "duplicated": "issue.duplicated",
    "restored": "issue.restored",
    "published": "issue.published",
    "scheduled": "issue.scheduled",
    "unscheduled": "issue.unscheduled",
    "withdrawn": "issue.withdrawn",
    "cancelled": "issue.cancelled",
    "test_sent": "issue.test_sent",
    "approval_requested": "issue.approval_requested",
    "approved": "issue.approved",
    "refused": "issue.refused",
    "archive_changed": "issue.archive_changed",
    "winner_chosen": "issue.winner_chosen",
}


async def record_step(
    connection: AsyncConnection,
    issue_id: int,
    step: StepName,
    *,
    by: By,
    actor: str | None = None,
    note: str = "",
    before: Mapping[str, Detail] | None = None,
    after: Mapping[str, Detail] | None = None,
) -> None:
    """`actor`: whom the history names; else the subject of `by`. The note is for readers alone: what the audit log may
    hold of the step is in `before` and `after`.
    """
    taken = await store.insert_step(connection, issue_id, step, actor=actor or by.subject, note=note)
    await record_audit(
        connection,
        by,
        _ACTIONS[step],
        issue_id,
        newsletter_id=taken.newsletter_id,
        before=before,
        after={"version": taken.version, **(after or {})},
    )
