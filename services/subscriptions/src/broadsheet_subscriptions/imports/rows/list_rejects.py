"""The rejected rows of an import: page by page, and as CSV, streamed, that can be corrected and imported again as it
is.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_subscriptions.exports.csv_writer import csv_line, csv_lines
from broadsheet_subscriptions.imports.rows import reject_store
from broadsheet_subscriptions.imports.store import ImportRow

PAGE_ROWS: Final = 1_000
LINE_TITLE, REASON_TITLE = "import_line", "import_reason"


async def rejects_csv(engine: AsyncEngine, job: ImportRow) -> AsyncIterator[bytes]:
    """The file's own columns, then the line and the reason, which an import ignores.

    Each page is read in its own transaction, so that none stays open for a slow reader.
    """
    titles = job.columns or []
    yield csv_line([*titles, LINE_TITLE, REASON_TITLE]).encode()
    after = 0
    while True:
        async with engine.connect() as connection:
            page = await reject_store.list_rejects(
                connection, import_id=job.id, run_number=job.run_number, after_record=after, limit=PAGE_ROWS
            )
        if not page:
            return
        after = page[-1].record_number
        lines = [[*fitted(row.cells, len(titles)), str(row.line_number), row.reason] for row in page]
        yield csv_lines(lines).encode()


def column_at_fault(reason: str, titles: Sequence[str]) -> str | None:
    """The column that a reason names; None: the row as a whole is at fault."""
    named = [title for title in titles if reason.startswith(f"{title}: ")]
    return max(named, key=len, default=None)


def fitted(cells: Sequence[str], width: int) -> list[str]:
    """As many cells as there are titles. Surplus cells are joined to the last one, so that nothing is lost."""
    if len(cells) > width > 0:
        return [*cells[: width - 1], " ".join(cells[width - 1 :])]
    return [*cells, *[""] * (width - len(cells))]
