"""The SQL of rejected rows."""

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection


class RejectRow(msgspec.Struct, frozen=True):
    record_number: int
    line_number: int
    reason: str
    cells: list[str]


async def list_rejects(
    connection: AsyncConnection, *, import_id: int, run_number: int, after_record: int, limit: int
) -> list[RejectRow]:
    """In the order of the file."""
    result = await connection.execute(
        sa.text("""
            SELECT record_number, line_number, reason, cells FROM subscriptions.import_reject
             WHERE import_id = :import_id AND run_number = :run_number AND record_number > :after_record
             ORDER BY record_number LIMIT :limit
        """).columns(cells=JSONB),
        {"import_id": import_id, "run_number": run_number, "after_record": after_record, "limit": limit},
    )
    return [RejectRow(*row) for row in result]
