"""What somebody did to an issue that is being sent, in the audit log: with its newsletter, as publishing's entries."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.audit import AuditAction, By, Detail, record_audit
from broadsheet_delivery.throttle.interface import newsletter_of_issue_run


async def record_step(
    connection: AsyncConnection,
    by: By,
    action: AuditAction,
    issue_id: int,
    *,
    before: Mapping[str, Detail] | None = None,
    after: Mapping[str, Detail] | None = None,
) -> None:
    """In the transaction of the step."""
    newsletter_id = await newsletter_of_issue_run(connection, issue_id=issue_id)
    await record_audit(connection, by, action, issue_id, newsletter_id=newsletter_id, before=before, after=after)
