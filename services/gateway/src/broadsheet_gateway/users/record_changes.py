"""What changed of a user, in the audit log: roles, and whether they may sign in. Of the name, that it changed."""

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.audit import AuditAction, By, record_audit
from broadsheet_gateway.users.user import User


async def record_changes(connection: AsyncConnection, by: By, before: User, after: User) -> None:
    """In the transaction of the change; an entry for each thing that is another now."""
    if before.roles != after.roles:
        await record_audit(
            connection,
            by,
            "user.roles_changed",
            after.id,
            before={"roles": _roles(before)},
            after={"roles": _roles(after)},
        )
    if (before.deactivated_at is None) != (after.deactivated_at is None):
        action: AuditAction = "user.deactivated" if before.deactivated_at is None else "user.reactivated"
        await record_audit(connection, by, action, after.id)
    if before.name != after.name:
        await record_audit(connection, by, "user.changed", after.id, after={"changed": ["name"]})


def _roles(user: User) -> list[str]:
    return sorted(grant.text for grant in user.roles)
