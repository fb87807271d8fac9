"""The SQL of layouts: plain functions that take the connection of the caller's transaction."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_publishing.compiling.issue_source import Layout, LayoutFormat


class LayoutRow(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    name: str
    format: LayoutFormat
    source: str
    created_at: datetime
    updated_at: datetime


_COLUMNS: Final = ", ".join(LayoutRow.__struct_fields__)


def _row(found: sa.RowMapping) -> LayoutRow:
    return LayoutRow(**found)  # columns by their names


async def list_layouts(connection: AsyncConnection, *, after_id: int, limit: int) -> list[LayoutRow]:
    """Oldest first."""
    result = await connection.execute(
        sa.text(f"SELECT {_COLUMNS} FROM publishing.layout WHERE id > :after_id ORDER BY id LIMIT :limit"),
        {"after_id": after_id, "limit": limit},
    )
    return [_row(row) for row in result.mappings()]


async def find_layout_row(
    connection: AsyncConnection, layout_id: int, *, lock: bool = False, share: bool = False
) -> LayoutRow | None:
    """`share`: it stays as it is until the transaction ends, and others may say so too."""
    locking = "FOR UPDATE" if lock else "FOR SHARE" if share else ""
    result = await connection.execute(
        sa.text(f"SELECT {_COLUMNS} FROM publishing.layout WHERE id = :id {locking}"),
        {"id": layout_id},
    )
    row = result.mappings().one_or_none()
    return None if row is None else _row(row)


async def find_layout(connection: AsyncConnection, layout_id: int, *, share: bool = False) -> Layout | None:
    """None: it was deleted. `share`: as in `find_layout_row`."""
    row = await find_layout_row(connection, layout_id, share=share)
    return None if row is None else Layout(row.format, row.source)


async def insert_layout(
    connection: AsyncConnection, *, name: str, format_: LayoutFormat, source: str
) -> LayoutRow | None:
    """None: another layout has this name."""
    result = await connection.execute(
        sa.text(f"""
            INSERT INTO publishing.layout (name, format, source) VALUES (:name, :format, :source)
            ON CONFLICT (name) DO NOTHING RETURNING {_COLUMNS}
        """),
        {"name": name, "format": format_, "source": source},
    )
    row = result.mappings().one_or_none()
    return None if row is None else _row(row)


async def lock_names(connection: AsyncConnection) -> None:
    """Those who set a name take turns, so that a taken one is an answer and never a fault."""
    await connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended('publishing.layout.name', 0))"))


async def name_is_taken(connection: AsyncConnection, name: str, *, by_other_than: int) -> bool:
    result = await connection.execute(
        sa.text("SELECT EXISTS (SELECT FROM publishing.layout WHERE name = :name AND id <> :id)"),
        {"name": name, "id": by_other_than},
    )
    return bool(result.scalar_one())


async def update_layout(connection: AsyncConnection, layout_id: int, values: Mapping[str, object]) -> LayoutRow:
    """`values`: of `name`, `format` and `source`."""
    assert {"name", "format", "source"}.issuperset(values), values
    changes = "".join(f"{name} = :{name}, " for name in sorted(values))
    result = await connection.execute(
        sa.text(f"UPDATE publishing.layout SET {changes}updated_at = now() WHERE id = :id RETURNING {_COLUMNS}"),
        dict(values) | {"id": layout_id},
    )
    return _row(result.mappings().one())


async def is_used(connection: AsyncConnection, layout_id: int) -> bool:
    result = await connection.execute(
        sa.text("""
            SELECT EXISTS (SELECT FROM publishing.newsletter WHERE layout_id = :id)
                OR EXISTS (SELECT FROM publishing.issue WHERE layout_id = :id AND status IN ('draft', 'scheduled'))
        """),
        {"id": layout_id},
    )
    return bool(result.scalar_one())


async def delete_layout(connection: AsyncConnection, layout_id: int) -> None:
    """Issues that were published or cancelled forget it: what was mailed is compiled."""
    await connection.execute(
        sa.text("UPDATE publishing.issue SET layout_id = NULL WHERE layout_id = :id"), {"id": layout_id}
    )
    await connection.execute(sa.text("DELETE FROM publishing.layout WHERE id = :id"), {"id": layout_id})
