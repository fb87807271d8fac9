"""The SQL of revisions: plain functions that take the connection of the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_publishing.drafts.draft import Draft
from broadsheet_publishing.drafts.store import draft_of
from broadsheet_publishing.drafts.thin_revisions import RevisionFacts


class RevisionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A revision without its texts, which may be megabytes."""

    version: int
    title: str
    format: str
    size_bytes: int
    saved_at: datetime
    saved_by: str
    restored_from: int | None


_ROW: Final = ", ".join(RevisionRow.__struct_fields__)
_DRAFT: Final = ", ".join(Draft.__struct_fields__)


async def insert_revision(connection: AsyncConnection, issue_id: int, *, restored_from: int | None = None) -> None:
    """Keeps the issue as it is now, under its version."""
    await connection.execute(
        sa.text(f"""
            INSERT INTO publishing.issue_revision (issue_id, version, {_DRAFT}, size_bytes, saved_by, restored_from)
            SELECT id, version, {_DRAFT},
                   octet_length(title) + coalesce(octet_length(subject), 0) + octet_length(preheader)
                   + octet_length(content) + coalesce(octet_length(text_content), 0)
                   + coalesce(octet_length(ab_test), 0),
                   saved_by, CAST(:restored_from AS bigint)
              FROM publishing.issue WHERE id = :issue_id
        """),  # constant columns
        {"issue_id": issue_id, "restored_from": restored_from},
    )


async def list_revisions(
    connection: AsyncConnection, issue_id: int, *, before_version: int | None, limit: int
) -> list[RevisionRow]:
    """Newest first."""
    result = await connection.execute(
        sa.text(f"""
            SELECT {_ROW} FROM publishing.issue_revision
             WHERE issue_id = :issue_id AND (:before IS NULL OR version < :before)
             ORDER BY version DESC LIMIT :limit
        """).bindparams(sa.bindparam("before", type_=sa.BigInteger)),  # constant columns
        {"issue_id": issue_id, "before": before_version, "limit": limit},
    )
    return [RevisionRow(**row) for row in result.mappings()]  # columns by their names


async def find_revision(connection: AsyncConnection, issue_id: int, version: int) -> tuple[RevisionRow, Draft] | None:
    result = await connection.execute(
        sa.text(f"""
            SELECT {_ROW}, subject, preheader, content, text_content, layout_id, ab_test
              FROM publishing.issue_revision WHERE issue_id = :issue_id AND version = :version
        """),  # constant columns
        {"issue_id": issue_id, "version": version},
    )
    fields = result.mappings().one_or_none()
    if fields is None:
        return None
    return RevisionRow(**{name: fields[name] for name in RevisionRow.__struct_fields__}), draft_of(fields)


async def read_facts(connection: AsyncConnection, issue_id: int) -> tuple[list[RevisionFacts], datetime]:
    """All revisions, newest first, and the time."""
    result = await connection.execute(
        sa.text("""
            SELECT version, format, saved_at, size_bytes, now() FROM publishing.issue_revision
             WHERE issue_id = :issue_id ORDER BY version DESC
        """),
        {"issue_id": issue_id},
    )
    rows = result.all()
    return [RevisionFacts(*row[:4]) for row in rows], rows[0][4]


async def remove_revisions(connection: AsyncConnection, issue_id: int, versions: Sequence[int]) -> None:
    await connection.execute(
        sa.text("""
            DELETE FROM publishing.issue_revision
             WHERE issue_id = :issue_id AND version = ANY(CAST(:versions AS bigint[]))
        """),
        {"issue_id": issue_id, "versions": list(versions)},
    )
