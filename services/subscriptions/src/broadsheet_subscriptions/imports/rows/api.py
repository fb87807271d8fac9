"""The JSON API for the rows of an import's file: the first ones, and those that were rejected."""

from typing import Annotated, Final

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.response import Stream
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.contracts.identity import requires
from broadsheet_common.http.pagination import (
    PAGE_SIZE_DEFAULT,
    Page,
    PageCursor,
    PageLimit,
    decode_cursor,
    encode_cursor,
)
from broadsheet_common.http.problems import NotFoundError
from broadsheet_common.http.record_id import PathId
from broadsheet_common.http.route_rules import JsonRequest, documents
from broadsheet_subscriptions.imports import store
from broadsheet_subscriptions.imports.reading.frame import SAMPLE_CELL_CHARS_MAX, SAMPLE_ROWS_MAX
from broadsheet_subscriptions.imports.rows import reject_store, sample_store
from broadsheet_subscriptions.imports.rows.list_rejects import column_at_fault, fitted, rejects_csv
from broadsheet_subscriptions.imports.store import ImportRow

REASON_CHARS_MAX: Final = 2_000
REASONS_SHOWN_MAX: Final = 50
CELL_CHARS_MAX: Final = 2_000
"""More than a text of an attribute may have; a cell that is longer is cut, and the row says so."""
PAGE_BYTES_MAX: Final = 256 * 1024

ReasonParameter = Annotated[
    str | None,
    QueryParameter(
        name="reason",
        min_length=1,
        max_length=REASON_CHARS_MAX,
        description="Only rows that were rejected for this reason, as `reject-reasons` gives it",
    ),
]


class ImportSample(msgspec.Struct, frozen=True):
    """`columns`: the titles; empty until the file is opened. `rows`: the cells of the first people of the file, one
    for each column; none once the file is no longer kept. A cell that was cut ends in `…`.
    """

    columns: list[str]
    rows: list[list[str]]


class RejectedRow(msgspec.Struct, frozen=True):
    """`record`: the row's number in the file; `line`: where it begins. `cells`: one for each column of the file, in
    their order. `column`: the one that cannot be read; null: the row as a whole. `is_cut`: a cell is longer than is
    shown here; the CSV has more of it.
    """

    record: int
    line: int
    reason: str
    column: str | None
    cells: list[str]
    is_cut: bool


class RejectReason(msgspec.Struct, frozen=True):
    reason: str
    rows: int


class RejectReasons(msgspec.Struct, frozen=True):
    """At most 50, the commonest first, counted among the first 100,000 rejected rows."""

    items: list[RejectReason]


class ImportRowsController(Controller):
    path = "/api/v1/imports"
    tags = ("Imports",)
    request_class = JsonRequest

    @get(
        "/{import_id:int}/sample",
        operation_id="getImportSample",
        summary="Get the columns and the first rows of the file",
        description=f"At most {SAMPLE_ROWS_MAX} rows, their cells cut to {SAMPLE_CELL_CHARS_MAX} characters, while "
        "the file is kept (`file.is_kept`): to see what the columns are before a mapping is given.",
        guards=[requires("imports:read")],
        responses=documents(NotFoundError),
    )
    async def get_sample(self, engine: NamedDependency[AsyncEngine], import_id: PathId) -> ImportSample:
        async with engine.connect() as connection:
            job = await _find(connection, import_id)
            rows = await sample_store.find_first_rows(connection, import_id)
        if job.columns is None or job.file_removed_at is not None:
            rows = []
        return ImportSample(job.columns or [], rows)

    @get(
        "/{import_id:int}/rejects",
        operation_id="getImportRejects",
        summary="Get the rejected rows, with line and reason, as CSV that can be corrected and sent again",
        guards=[requires("imports:read")],
        media_type="text/csv",
        responses=documents(NotFoundError),
    )
    async def get_rejects(self, engine: NamedDependency[AsyncEngine], import_id: PathId) -> Stream:
        async with engine.connect() as connection:
            row = await _find(connection, import_id)
        return Stream(
            rejects_csv(engine, row),
            media_type="text/csv",
            headers={"Content-Disposition": f'attachment; filename="import-{import_id}-rejects.csv"'},
        )

    @get(
        "/{import_id:int}/rejected-rows",
        operation_id="listImportRejectedRows",
        summary="List the rejected rows of an import, in the order of the file",
        description="Rows of the latest run. A page may have fewer than `limit` rows if they are long. "
        f"Cells are cut to {CELL_CHARS_MAX:,} characters.",
        guards=[requires("imports:read")],
        responses=documents(NotFoundError),
    )
    async def list_rejected_rows(
        self,
        engine: NamedDependency[AsyncEngine],
        import_id: PathId,
        limit: PageLimit = PAGE_SIZE_DEFAULT,
        cursor: PageCursor = None,
        reason: ReasonParameter = None,
    ) -> Page[RejectedRow]:
        after = decode_cursor(cursor)
        async with engine.connect() as connection:
            job = await _find(connection, import_id)
            page = await reject_store.list_some_rejects(
                connection,
                import_id=job.id,
                run_number=job.run_number,
                after_record=after or 0,
                reason=reason,
                limit=limit,
                bytes_max=PAGE_BYTES_MAX,
            )
        titles = job.columns or []
        return Page(
            [_rejected_row(row, titles) for row in page.rows],
            encode_cursor(page.rows[-1].record_number) if page.has_more else None,
        )

    @get(
        "/{import_id:int}/reject-reasons",
        operation_id="getImportRejectReasons",
        summary="Count the rejected rows of an import by reason",
        guards=[requires("imports:read")],
        responses=documents(NotFoundError),
    )
    async def get_reject_reasons(self, engine: NamedDependency[AsyncEngine], import_id: PathId) -> RejectReasons:
        async with engine.connect() as connection:
            job = await _find(connection, import_id)
            counted = await reject_store.count_reasons(
                connection, import_id=job.id, run_number=job.run_number, limit=REASONS_SHOWN_MAX
            )
        return RejectReasons([RejectReason(one.reason, one.rows) for one in counted])


def _rejected_row(row: reject_store.RejectRow, titles: list[str]) -> RejectedRow:
    cells = fitted(row.cells, len(titles))
    return RejectedRow(
        record=row.record_number,
        line=row.line_number,
        reason=row.reason,
        column=column_at_fault(row.reason, titles),
        cells=[cell[:CELL_CHARS_MAX] for cell in cells],
        is_cut=any(len(cell) > CELL_CHARS_MAX for cell in cells),
    )


async def _find(connection: AsyncConnection, import_id: int) -> ImportRow:
    row = await store.find_import(connection, import_id)
    if row is None:
        raise NotFoundError("There is no such import.")
    return row
