"""The SQL of import jobs: plain functions that take the connection of the caller's transaction.

Row locks: a job before its lanes, a lane before people. A job is never locked FOR UPDATE: a lane's transaction
adds rows that refer to the job (rejects, people), and would have to wait for that lock.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_subscriptions.attributes import interface as attributes
from broadsheet_subscriptions.imports.import_options import ExistingPolicy, GivenState, ImportOptions, Status
from broadsheet_subscriptions.imports.reading.column import KnownAttribute, Mapping_
from broadsheet_subscriptions.imports.reading.frame import LANES, Note
from broadsheet_subscriptions.imports.reading.opt_out import UndecidedColumn
from broadsheet_subscriptions.imports.reading.record import Place
from broadsheet_subscriptions.imports.reading.text_encoding import Encoding, FileFormat

PIECE_BYTES: Final = 1024 * 1024
"""The size of a piece of a stored file. Only the last one may be smaller."""


class Counts(msgspec.Struct, frozen=True):
    """How many rows had each result; every row is counted once."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    duplicate: int = 0
    unsubscribed: int = 0
    suppressed: int = 0
    too_many_tags: int = 0

    @property
    def rows(self) -> int:
        return sum(msgspec.structs.astuple(self))


class ImportNote(msgspec.Struct, frozen=True):
    """Cells of one column that were left out for one reason: how many, and the lines of the first ones."""

    column: str
    reason: str
    cells: int
    lines: list[int]


class ImportRow(msgspec.Struct, frozen=True, kw_only=True):
    """A job with the sums of its lanes' counts; `bytes_read` is the place of the slower lane."""

    id: int
    newsletter_id: int
    status: Status
    failure: str | None
    created_by: str
    created_at: datetime
    consent_basis: str
    given_state: GivenState
    existing: ExistingPolicy
    added_tags: list[str]
    dry_run: bool
    given_mapping: Mapping_ | None
    file_format: FileFormat | None
    file_bytes: int
    encoding: Encoding | None
    file_removed_at: datetime | None
    delimiter: str | None
    columns: list[str] | None
    mapping: Mapping_ | None
    first_record: int
    undecided_columns: list[UndecidedColumn]
    remarks: list[str]
    run_number: int
    failure_count: int
    started_at: datetime | None
    finished_at: datetime | None
    undo_step: str | None
    undo_after_id: int
    undo_restored: int
    undo_removed: int
    undo_kept: dict[str, int]
    bytes_read: int
    counts: Counts
    notes: list[ImportNote]


class AddedIds(msgspec.Struct, frozen=True):
    """The lowest and the highest id of the added subscribers."""

    first: int
    last: int


class LanePlace(msgspec.Struct, frozen=True):
    lane: int
    lease_token: UUID | None
    place: Place


_JOB_COLUMNS: Final = tuple(
    name for name in ImportRow.__struct_fields__ if name not in {"bytes_read", "counts", "notes"}
)
_COUNT_COLUMNS: Final = tuple(f"{name}_count" for name in Counts.__struct_fields__)
_JSON_COLUMNS: Final = dict.fromkeys(("given_mapping", "mapping", "undo_kept", "undecided_columns", "notes"), JSONB)
NOTE_LINES_MAX: Final = 10
NOTES_SHOWN_MAX: Final = 100
_SELECT: Final = f"""
    SELECT {", ".join(f"job.{name}" for name in _JOB_COLUMNS)}, lanes.*,
           coalesce((
               SELECT jsonb_agg(shown) FROM (
                   SELECT note.column_title AS column, note.reason, note.cells, note.lines
                     FROM subscriptions.import_note AS note
                    WHERE note.import_id = job.id AND note.run_number = job.run_number
                    ORDER BY note.cells DESC, note.column_title, note.reason LIMIT {NOTES_SHOWN_MAX}
               ) AS shown), '[]') AS notes
      FROM subscriptions.import_job AS job
      CROSS JOIN LATERAL (
          SELECT coalesce(min(byte_offset), 0) AS bytes_read,
                 {", ".join(f"coalesce(sum({name}), 0)::bigint AS {name}" for name in _COUNT_COLUMNS)}
            FROM subscriptions.import_lane AS lane WHERE lane.import_id = job.id
      ) AS lanes
"""


def _import_row(row: sa.Row[Any]) -> ImportRow:
    fields = row._mapping  # noqa: SLF001  # SQLAlchemy's public name for it
    counts = Counts(*(fields[name] for name in _COUNT_COLUMNS))
    plain = {name: fields[name] for name in _JOB_COLUMNS if name != "undecided_columns"}
    return ImportRow(
        **plain,
        undecided_columns=msgspec.convert(fields["undecided_columns"], list[UndecidedColumn]),
        bytes_read=fields["bytes_read"],
        counts=counts,
        notes=msgspec.convert(fields["notes"], list[ImportNote]),
    )


async def find_newsletter(connection: AsyncConnection, newsletter_id: int | None) -> int | None:
    """The newsletter's id, or the default newsletter's for None; None if there is no such newsletter."""
    result = await connection.execute(
        sa.text("""
            SELECT newsletter_id FROM publishing.published_newsletters
             WHERE (newsletter_id = :newsletter_id OR (:newsletter_id IS NULL AND is_default)) AND archived_at IS NULL
        """).bindparams(sa.bindparam("newsletter_id", type_=sa.BigInteger)),
        {"newsletter_id": newsletter_id},
    )
    found: int | None = result.scalar_one_or_none()
    return found


async def list_attributes(connection: AsyncConnection) -> list[KnownAttribute]:
    """Attributes that are being removed are left out."""
    return [KnownAttribute(row.name, row.type, row.label) for row in await attributes.list_attributes(connection)]


async def begin_import(
    connection: AsyncConnection, *, newsletter_id: int, created_by: str, options: ImportOptions
) -> int:
    result = await connection.execute(
        sa.text("""
            INSERT INTO subscriptions.import_job
                   (newsletter_id, created_by, consent_basis, given_state, existing, added_tags, dry_run, given_mapping)
            VALUES (:newsletter_id, :created_by, :consent_basis, :given_state, :existing, :added_tags, :dry_run,
                    :given_mapping)
            RETURNING id
        """).bindparams(
            sa.bindparam("added_tags", type_=ARRAY(sa.Text)),
            sa.bindparam("given_mapping", type_=JSONB(none_as_null=True)),
        ),
        {"newsletter_id": newsletter_id, "created_by": created_by, **_parameters(options)},
    )
    import_id: int = result.scalar_one()
    return import_id


def _parameters(options: ImportOptions) -> dict[str, object]:
    return {
        "consent_basis": options.consent_basis,
        "given_state": options.given_state,
        "existing": options.existing,
        "added_tags": options.added_tags,
        "dry_run": options.dry_run,
        "given_mapping": options.mapping,
    }


async def add_piece(connection: AsyncConnection, *, import_id: int, position: int, content: bytes) -> None:
    await connection.execute(
        sa.text("""
            INSERT INTO subscriptions.import_piece (import_id, position, content)
            VALUES (:import_id, :position, :content)
        """).bindparams(sa.bindparam("content", type_=sa.LargeBinary)),
        {"import_id": import_id, "position": position, "content": content},
    )


async def finish_upload(
    connection: AsyncConnection,
    *,
    import_id: int,
    file_format: FileFormat | None,
    encoding: Encoding | None,
    file_bytes: int,
    file_sha256: bytes,
    failure: str | None,
) -> None:
    """The file is complete. A background loop takes over, unless it is already certain that the file cannot be read."""
    await connection.execute(
        sa.text("""
            WITH job AS (
                UPDATE subscriptions.import_job
                   SET status = CASE WHEN :failure IS NULL THEN 'queued' ELSE 'failed' END, failure = :failure,
                       finished_at = CASE WHEN :failure IS NULL THEN NULL ELSE now() END, run_number = 1,
                       file_format = :file_format, encoding = :encoding, file_bytes = :file_bytes,
                       file_sha256 = :file_sha256
                 WHERE id = :import_id AND status = 'uploading'
                RETURNING id
            )
            INSERT INTO subscriptions.import_lane (import_id, lane)
            SELECT job.id, lane FROM job, generate_series(0, :last_lane) AS lane
        """).bindparams(
            sa.bindparam("failure", type_=sa.Text),
            sa.bindparam("file_format", type_=sa.Text),
            sa.bindparam("encoding", type_=sa.Text),
            sa.bindparam("file_sha256", type_=sa.LargeBinary),
        ),
        {
            "import_id": import_id,
            "failure": failure,
            "file_format": file_format,
            "encoding": encoding,
            "file_bytes": file_bytes,
            "file_sha256": file_sha256,
            "last_lane": LANES - 1,
        },
    )


async def find_import(connection: AsyncConnection, import_id: int) -> ImportRow | None:
    result = await connection.execute(
        sa.text(f"{_SELECT} WHERE job.id = :import_id").columns(**_JSON_COLUMNS), {"import_id": import_id}
    )
    row = result.one_or_none()
    return None if row is None else _import_row(row)


async def lock_import(connection: AsyncConnection, import_id: int) -> ImportRow | None:
    """The job, with its row locked."""
    await connection.execute(
        sa.text("SELECT FROM subscriptions.import_job WHERE id = :import_id FOR NO KEY UPDATE"),
        {"import_id": import_id},
    )
    return await find_import(connection, import_id)


async def list_imports(connection: AsyncConnection, *, before_id: int | None, limit: int) -> list[ImportRow]:
    """Newest first."""
    result = await connection.execute(
        sa.text(f"""
            {_SELECT}
             WHERE :before_id IS NULL OR job.id < :before_id ORDER BY job.id DESC LIMIT :limit
        """)
        .bindparams(sa.bindparam("before_id", type_=sa.BigInteger))
        .columns(**_JSON_COLUMNS),
        {"before_id": before_id, "limit": limit},
    )
    return [_import_row(row) for row in result]


async def start_anew(connection: AsyncConnection, *, import_id: int, options: ImportOptions) -> None:
    """Begins the next run at the file's beginning; the caller has locked the job."""
    await connection.execute(
        sa.text("""
            UPDATE subscriptions.import_job
               SET status = 'queued', failure = NULL, finished_at = NULL, started_at = NULL, failure_count = 0,
                   run_number = run_number + 1, delimiter = NULL, columns = NULL, mapping = NULL,
                   first_record = 1, undecided_columns = '[]', remarks = '{}',
                   consent_basis = :consent_basis, given_state = :given_state, existing = :existing,
                   added_tags = :added_tags, dry_run = :dry_run, given_mapping = :given_mapping
             WHERE id = :import_id
        """).bindparams(
            sa.bindparam("added_tags", type_=ARRAY(sa.Text)),
            sa.bindparam("given_mapping", type_=JSONB(none_as_null=True)),
        ),
        {"import_id": import_id, **_parameters(options)},
    )
    zeros = ", ".join(f"{name} = 0" for name in ("byte_offset", "record_number", "line_number", "row_count"))
    counts = ", ".join(f"{name} = 0" for name in _COUNT_COLUMNS)
    await connection.execute(
        sa.text(f"UPDATE subscriptions.import_lane SET {zeros}, {counts} WHERE import_id = :import_id"),
        {"import_id": import_id},
    )


async def set_status(connection: AsyncConnection, *, import_id: int, status: Status) -> None:
    """Takes the job from its worker. Its lanes are taken too, after the transactions in which they still store
    something.
    """
    await connection.execute(
        sa.text("""
            UPDATE subscriptions.import_job
               SET status = :status, lease_token = NULL, lease_until = NULL,
                   finished_at = CASE WHEN :status = 'cancelled' THEN now() ELSE finished_at END
             WHERE id = :import_id
        """).bindparams(sa.bindparam("status", type_=sa.Text)),
        {"import_id": import_id, "status": status},
    )
    await give_lanes(connection, import_id=import_id, token=None)


async def give_lanes(connection: AsyncConnection, *, import_id: int, token: UUID | None) -> None:
    await connection.execute(
        sa.text("""
            UPDATE subscriptions.import_lane SET lease_token = :token
             WHERE import_id = :import_id
        """).bindparams(sa.bindparam("token", type_=sa.Uuid)),
        {"import_id": import_id, "token": token},
    )


async def begin_undo(connection: AsyncConnection, *, import_id: int) -> None:
    await set_status(connection, import_id=import_id, status="undoing")
    await connection.execute(
        sa.text("""
            UPDATE subscriptions.import_job
               SET undo_step = 'restore', undo_after_id = 0, failure_count = 0
             WHERE id = :import_id
        """),
        {"import_id": import_id},
    )


# Lanes --------------------------------------------------------------------------------------------------------------


async def read_lanes(connection: AsyncConnection, import_id: int) -> list[LanePlace]:
    result = await connection.execute(
        sa.text("""
            SELECT lane, lease_token, byte_offset, record_number, line_number
              FROM subscriptions.import_lane WHERE import_id = :import_id ORDER BY lane
        """),
        {"import_id": import_id},
    )
    return [_lane_place(row) for row in result]


async def lock_lane(connection: AsyncConnection, *, import_id: int, lane: int) -> LanePlace:
    result = await connection.execute(
        sa.text("""
            SELECT lane, lease_token, byte_offset, record_number, line_number
              FROM subscriptions.import_lane WHERE import_id = :import_id AND lane = :lane FOR UPDATE
        """),
        {"import_id": import_id, "lane": lane},
    )
    return _lane_place(result.one())


def _lane_place(row: sa.Row[Any]) -> LanePlace:
    return LanePlace(row.lane, row.lease_token, Place(row.byte_offset, row.record_number, row.line_number))


async def move_lane(
    connection: AsyncConnection, *, import_id: int, lane: int, after: Place, counts: Counts, added: AddedIds | None
) -> None:
    """`added`: the ids of the subscribers who were added since the lane's previous place."""
    sums = ", ".join(f"{name} = {name} + :{name}" for name in ("row_count", *_COUNT_COLUMNS))
    await connection.execute(
        sa.text(f"""
            UPDATE subscriptions.import_lane
               SET byte_offset = :byte_offset, record_number = :record_number, line_number = :line_number, {sums},
                   first_added_id = least(first_added_id, :first_added_id),
                   last_added_id = greatest(last_added_id, :last_added_id)
             WHERE import_id = :import_id AND lane = :lane
        """).bindparams(
            sa.bindparam("first_added_id", type_=sa.BigInteger), sa.bindparam("last_added_id", type_=sa.BigInteger)
        ),
        {
            "import_id": import_id,
            "lane": lane,
            **msgspec.structs.asdict(after),
            "row_count": counts.rows,
            "first_added_id": added.first if added else None,
            "last_added_id": added.last if added else None,
            **{f"{name}_count": value for name, value in msgspec.structs.asdict(counts).items()},
        },
    )


async def read_piece(connection: AsyncConnection, *, import_id: int, position: int) -> bytes | None:
    result = await connection.execute(
        sa.text("""
            SELECT content FROM subscriptions.import_piece WHERE import_id = :import_id AND position = :position
        """),
        {"import_id": import_id, "position": position},
    )
    content: bytes | None = result.scalar_one_or_none()
    return content


async def add_notes(connection: AsyncConnection, *, import_id: int, run_number: int, notes: Sequence[Note]) -> None:
    """Called in the transaction in which the first lane stores the batch of these notes."""
    await connection.execute(
        sa.text(f"""
            INSERT INTO subscriptions.import_note AS held (import_id, run_number, column_title, reason, cells, lines)
            VALUES (:import_id, :run_number, :column_title, :reason, :cells, :lines)
            ON CONFLICT (import_id, run_number, column_title, reason) DO UPDATE
               SET cells = held.cells + excluded.cells, lines = (held.lines || excluded.lines)[1 : {NOTE_LINES_MAX}]
        """).bindparams(sa.bindparam("lines", type_=ARRAY(sa.BigInteger))),
        [
            {
                "import_id": import_id,
                "run_number": run_number,
                "column_title": note.column,
                "reason": note.reason,
                "cells": note.cells,
                "lines": note.lines,
            }
            for note in notes
        ],
    )
