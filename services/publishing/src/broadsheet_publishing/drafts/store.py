"""The SQL of drafts: plain functions that take the connection of the caller's transaction."""

from collections.abc import Mapping
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_publishing.drafts.draft import SETTABLE, Draft
from broadsheet_publishing.issues.interface import ISSUE_COLUMNS, IssueRow, issue_row

_NUMBERS: Final = frozenset({"segment_id", "layout_id"})


def _typed(columns: list[str]) -> list[sa.BindParameter[int]]:
    return [sa.bindparam(name, type_=sa.BigInteger()) for name in columns if name in _NUMBERS]


async def insert_draft(
    connection: AsyncConnection, *, newsletter_id: int, values: Mapping[str, object], saved_by: str
) -> IssueRow:
    """A new draft, without its first revision. `values` by column, as `parse_draft` returns them."""
    columns = sorted(values)
    assert SETTABLE.issuperset(columns), columns
    names = "".join(f", {name}" for name in columns)
    places = "".join(f", :{name}" for name in columns)
    result = await connection.execute(
        sa.text(f"""
            INSERT INTO publishing.issue (newsletter_id, title, created_by, saved_by{names.replace(", title", "")})
            VALUES (:newsletter_id, :title, :saved_by, :saved_by{places.replace(", :title", "")})
            RETURNING {ISSUE_COLUMNS}
        """).bindparams(*_typed(columns)),  # columns of SETTABLE
        {"title": "", "newsletter_id": newsletter_id, "saved_by": saved_by} | dict(values),
    )
    return issue_row(result.mappings().one())


async def update_draft(
    connection: AsyncConnection, issue_id: int, *, values: Mapping[str, object], saved_by: str
) -> IssueRow:
    """The next version of a draft that is locked; columns that are left out stay."""
    columns = sorted(values)
    assert SETTABLE.issuperset(columns), columns
    changes = "".join(f"{name} = :{name}, " for name in columns)
    result = await connection.execute(
        sa.text(f"""
            UPDATE publishing.issue
               SET {changes}version = version + 1, saved_by = :saved_by, updated_at = now(), schedule_note = NULL
             WHERE id = :issue_id
            RETURNING {ISSUE_COLUMNS}
        """).bindparams(*_typed(columns)),  # columns of SETTABLE
        dict(values) | {"issue_id": issue_id, "saved_by": saved_by},
    )
    return issue_row(result.mappings().one())


async def read_draft(connection: AsyncConnection, issue_id: int) -> Draft:
    """The parts of an issue that is there."""
    result = await connection.execute(
        sa.text(f"SELECT {', '.join(Draft.__struct_fields__)} FROM publishing.issue WHERE id = :issue_id"),
        {"issue_id": issue_id},
    )
    return Draft(**result.mappings().one())


async def slug_is_taken(connection: AsyncConnection, slug: str, *, newsletter_id: int, by_other_than: int) -> bool:
    """Whoever asks holds `lock_slugs`."""
    result = await connection.execute(
        sa.text("""
            SELECT EXISTS (SELECT FROM publishing.issue
                            WHERE newsletter_id = :newsletter_id AND slug = :slug AND id <> :id)
        """),
        {"slug": slug, "newsletter_id": newsletter_id, "id": by_other_than},
    )
    return bool(result.scalar_one())


async def delete_draft(connection: AsyncConnection, issue_id: int) -> None:
    """With its revisions."""
    await connection.execute(sa.text("DELETE FROM publishing.issue WHERE id = :issue_id"), {"issue_id": issue_id})
