"""The SQL of drafts: plain functions that take the connection of the caller's transaction."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_publishing.drafts.draft import DRAFT_FIELDS, SETTABLE, Draft
from broadsheet_publishing.issues.interface import ISSUE_COLUMNS, IssueRow, issue_row
from broadsheet_publishing.variants.ab_test import AbTest

_DECODE_AB_TEST: Final = msgspec.json.Decoder(AbTest).decode
_NUMBERS: Final = frozenset({"segment_id", "layout_id"})


def _typed(columns: list[str]) -> list[sa.BindParameter[int]]:
    return [sa.bindparam(name, type_=sa.BigInteger()) for name in columns if name in _NUMBERS]


def draft_of(fields: sa.RowMapping) -> Draft:
    """From columns by their names; others are left out."""
    return Draft(**{name: _from_stored(name, fields[name]) for name in Draft.__struct_fields__})


def _from_stored(name: str, value: Any) -> Any:
    return value if name != "ab_test" or value is None else _DECODE_AB_TEST(value)


def _to_store(values: Mapping[str, object]) -> dict[str, object]:
    """An A/B test is kept as JSON."""
    return {
        name: msgspec.json.encode(value).decode() if isinstance(value, AbTest) else value
        for name, value in values.items()
    }


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
        {"title": "", "newsletter_id": newsletter_id, "saved_by": saved_by} | _to_store(values),
    )
    return issue_row(result.mappings().one())


async def update_draft(
    connection: AsyncConnection, issue_id: int, *, values: Mapping[str, object], saved_by: str
) -> tuple[IssueRow, list[str]] | None:
    """The next version of a draft that is locked, and which columns differ; those that are left out stay. None:
    `values` change nothing.
    """
    columns = sorted(values)
    assert SETTABLE.issuperset(columns), columns
    if not columns:
        return None
    changes = "".join(f"{name} = :{name}, " for name in columns)
    differs = " OR ".join(f"{name} IS DISTINCT FROM :{name}" for name in columns)
    named = ", ".join(f"CASE WHEN {name} IS DISTINCT FROM :{name} THEN '{name}' END" for name in columns)
    result = await connection.execute(
        sa.text(f"""
            UPDATE publishing.issue
               SET {changes}version = version + 1, saved_by = :saved_by, updated_at = now(), schedule_note = NULL
             WHERE id = :issue_id AND ({differs})
            RETURNING {ISSUE_COLUMNS}, (
                -- The row as it was: the statement's own change is not in its snapshot.
                SELECT array_remove(ARRAY[{named}], NULL) FROM publishing.issue AS old WHERE old.id = :issue_id
            ) AS changed_columns
        """).bindparams(*_typed(columns)),  # columns of SETTABLE
        _to_store(values) | {"issue_id": issue_id, "saved_by": saved_by},
    )
    found = result.mappings().one_or_none()
    if found is None:
        return None
    fields = dict(found)
    changed_columns: list[str] = fields.pop("changed_columns")
    return issue_row(fields), changed_columns


async def read_draft(
    connection: AsyncConnection, issue_id: int, *, known: Mapping[str, object] = MappingProxyType({})
) -> Draft:
    """The parts of an issue that is there. What is `known` of them, by column, is not read: it may be megabytes."""
    columns = [name for name in Draft.__struct_fields__ if name not in known]
    found: dict[str, Any] = {name: value for name, value in known.items() if name in DRAFT_FIELDS}
    result = await connection.execute(
        sa.text(f"SELECT {', '.join(['id', *columns])} FROM publishing.issue WHERE id = :issue_id"),
        {"issue_id": issue_id},
    )
    row = result.mappings().one()
    return Draft(**found | {name: _from_stored(name, row[name]) for name in columns})


async def read_ab_test(connection: AsyncConnection, issue_id: int) -> AbTest | None:
    """Without the rest of the issue, which may be megabytes."""
    result = await connection.execute(
        sa.text("SELECT ab_test FROM publishing.issue WHERE id = :issue_id"), {"issue_id": issue_id}
    )
    found: str | None = result.scalar_one()
    return None if found is None else _DECODE_AB_TEST(found)


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
