"""The SQL of a file's first rows, which are kept as long as the file."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection


async def find_first_rows(connection: AsyncConnection, import_id: int) -> list[list[str]]:
    """In the order of the file; none if there is no file, or if it was not opened yet."""
    result = await connection.execute(
        sa.text("SELECT first_rows FROM subscriptions.import_sample WHERE import_id = :import_id").columns(
            first_rows=JSONB
        ),
        {"import_id": import_id},
    )
    found: list[list[str]] | None = result.scalar_one_or_none()
    return found or []
