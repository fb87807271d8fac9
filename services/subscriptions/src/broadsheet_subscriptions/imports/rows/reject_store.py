"""The SQL of rejected rows."""

from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

COUNTED_ROWS_MAX: Final = 100_000
"""Reasons are counted among so many rejected rows: a file of a million bad ones is no reason to read them all."""


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


class RejectPage(msgspec.Struct, frozen=True):
    """`has_more`: rows follow that belong to the list too."""

    rows: list[RejectRow]
    has_more: bool


async def list_some_rejects(
    connection: AsyncConnection,
    *,
    import_id: int,
    run_number: int,
    after_record: int,
    reason: str | None,
    limit: int,
    bytes_max: int,
) -> RejectPage:
    """In the order of the file, until their cells together are `bytes_max` long; one row at least."""
    result = await connection.execute(
        sa.text("""
            WITH picked AS (
                SELECT record_number, line_number, reason, cells, octet_length(cells::text) AS size
                  FROM subscriptions.import_reject
                 WHERE import_id = :import_id AND run_number = :run_number AND record_number > :after_record
                   AND (:reason IS NULL OR reason = :reason)
                 ORDER BY record_number LIMIT :limit + 1
            ), summed AS (
                SELECT picked.*, sum(size) OVER (ORDER BY record_number) - size AS before,
                       row_number() OVER (ORDER BY record_number) AS place, count(*) OVER () AS found
                  FROM picked
            )
            SELECT record_number, line_number, reason, cells, found FROM summed
             WHERE place <= :limit AND (place = 1 OR before + size <= :bytes_max) ORDER BY record_number
        """)
        .bindparams(sa.bindparam("reason", type_=sa.Text))
        .columns(cells=JSONB),
        {
            "import_id": import_id,
            "run_number": run_number,
            "after_record": after_record,
            "reason": reason,
            "limit": limit,
            "bytes_max": bytes_max,
        },
    )
    rows = result.all()
    return RejectPage(
        [RejectRow(row.record_number, row.line_number, row.reason, row.cells) for row in rows],
        bool(rows) and len(rows) < rows[0].found,
    )


class ReasonCount(msgspec.Struct, frozen=True):
    reason: str
    rows: int


async def count_reasons(
    connection: AsyncConnection, *, import_id: int, run_number: int, limit: int
) -> list[ReasonCount]:
    """The commonest first, among the first `COUNTED_ROWS_MAX` rejected rows."""
    result = await connection.execute(
        sa.text("""
            SELECT reason, count(*) AS rows
              FROM (SELECT reason FROM subscriptions.import_reject
                     WHERE import_id = :import_id AND run_number = :run_number
                     ORDER BY record_number LIMIT :counted) AS counted
             GROUP BY reason ORDER BY count(*) DESC, min(reason) LIMIT :limit
        """),
        {"import_id": import_id, "run_number": run_number, "counted": COUNTED_ROWS_MAX, "limit": limit},
    )
    return [ReasonCount(*row) for row in result]
