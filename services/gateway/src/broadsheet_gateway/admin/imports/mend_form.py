"""Reading the form of corrected rows, and the file that they become. Pure."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_gateway.admin.imports.import_views import Import
from broadsheet_gateway.admin.imports.reject_views import (
    MEND_FIELDS_MAX,
    REJECTS_SHOWN,
    RejectedRow,
    field_name,
    mapping_of,
    one_line,
)
from broadsheet_gateway.http.forms import Form

MEND_FORM_MAX_BYTES: Final = 2 * 1024 * 1024
MEND_FORM_FIELDS_MAX: Final = REJECTS_SHOWN * (MEND_FIELDS_MAX + 1) + 10
CELL_CHARS_MAX: Final = 2_000
_FIELD: Final = re.compile(r"cell_(\d{1,18})_(\d{1,3})")
_NEUTRAL: Final = re.compile(r"'+[=+\-@\t\r]")


class Mended(msgspec.Struct, frozen=True):
    """Rows that were changed, whole, in the order of the file's columns; and the faults at their fields."""

    rows: tuple[tuple[str, ...], ...]
    faults: Mapping[str, str]


def read_cells(form: Form) -> dict[str, str]:
    """What was typed, by field."""
    return {name: value for name, value in form.fields.items() if _FIELD.fullmatch(name)}


def mend(job: Import, rows: Sequence[RejectedRow], typed: Mapping[str, str]) -> Mended:
    """A row of which nothing was changed is left out: it would only be rejected again."""
    titles, mapping = job.columns, mapping_of(job)
    mended: list[tuple[str, ...]] = []
    faults: dict[str, str] = {}
    for row in rows:
        cells = list(row.cells)
        is_changed = False
        for column, cell in enumerate(row.cells):
            value = typed.get(field_name(row.record, column))
            if value is not None and value != one_line(cell):
                cells[column] = value
                is_changed = True
        if not is_changed or row.is_cut:
            continue
        for column, cell in enumerate(cells):
            name = field_name(row.record, column)
            if len(cell) > CELL_CHARS_MAX:
                faults[name] = f"At most {CELL_CHARS_MAX:,} characters."
            elif mapping.get(titles[column]) == "email":
                try:
                    EmailAddress.parse(cell)
                except ValueError as error:
                    faults[name] = str(error)
        mended.append(tuple(cells))
    return Mended(tuple(mended), faults)


def unknown_rows(job: Import, rows: Sequence[RejectedRow], typed: Mapping[str, str]) -> tuple[RejectedRow, ...]:
    """Rows that the form had and the service no longer gives, made of what was typed alone: nothing typed is lost."""
    known = {row.record for row in rows}
    cells: dict[int, list[str]] = {}
    for name, value in typed.items():
        if (found := _FIELD.fullmatch(name)) is None:
            continue
        record, column = int(found[1]), int(found[2])
        if record not in known and column < len(job.columns):
            cells.setdefault(record, [""] * len(job.columns))[column] = value
    return tuple(
        RejectedRow(record, 0, "The row as it came is not there any more.", None, tuple(row))
        for record, row in cells.items()
    )


def csv_of(job: Import, rows: Sequence[Sequence[str]]) -> bytes:
    """UTF-8, with commas and the file's own titles."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerows([_kept(cell) for cell in row] for row in (job.columns, *rows))
    return buffer.getvalue().encode()


def _kept(cell: str) -> str:
    """An import takes an apostrophe before a formula for one that an export has added, and removes it: one more keeps
    the cell as it is.
    """
    return f"'{cell}" if _NEUTRAL.match(cell) else cell
