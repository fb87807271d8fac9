"""The SQL of approvals: plain functions that take the connection of the caller's transaction."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_publishing.approvals.approval import Approval, Decision

_COLUMNS: Final = ", ".join(Approval.__struct_fields__)


async def find_approval(connection: AsyncConnection, issue_id: int) -> Approval | None:
    """The last one."""
    result = await connection.execute(
        sa.text(f"""
            SELECT {_COLUMNS} FROM publishing.issue_approval WHERE issue_id = :issue_id ORDER BY id DESC LIMIT 1
        """),  # constant columns
        {"issue_id": issue_id},
    )
    row = result.mappings().one_or_none()
    return None if row is None else Approval(**row)


async def insert_request(
    connection: AsyncConnection, issue_id: int, *, version: int, requested_by: str, note: str
) -> Approval:
    result = await connection.execute(
        sa.text(f"""
            INSERT INTO publishing.issue_approval (issue_id, version, requested_by, request_note)
            VALUES (:issue_id, :version, :requested_by, :note)
            RETURNING {_COLUMNS}
        """),  # constant columns
        {"issue_id": issue_id, "version": version, "requested_by": requested_by, "note": note},
    )
    return Approval(**result.mappings().one())


async def set_decision(
    connection: AsyncConnection, approval_id: int, *, decision: Decision, decided_by: str, note: str
) -> Approval:
    result = await connection.execute(
        sa.text(f"""
            UPDATE publishing.issue_approval
               SET decision = :decision, decided_by = :decided_by, decided_at = now(), decision_note = :note
             WHERE id = :id
            RETURNING {_COLUMNS}
        """),  # constant columns
        {"id": approval_id, "decision": decision, "decided_by": decided_by, "note": note},
    )
    return Approval(**result.mappings().one())
