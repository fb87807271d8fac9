"""The rejected rows of an import as its page shows them: why each was rejected, what to do, and what may be typed."""

import json
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import msgspec

from broadsheet_gateway.admin.imports.import_views import FIELDS, Import

REJECTS_SHOWN: Final = 50
MEND_FIELDS_MAX: Final = 6
"""Fields a row beside the one at fault. The row's other cells go along as they came."""
MAPPING_QUERY_BYTES_MAX: Final = 24 * 1024
"""The mapping of a corrected file goes into an address, and a server takes only so much of one."""

_ROW_AT_FAULT: Final = "Its cells do not fit the columns. Put each value where it belongs."
_ADVICE: Final[dict[str | None, str]] = {
    None: _ROW_AT_FAULT,
    "email": "Correct the address.",
    "state": "Write confirmed, pending or unsubscribed, or leave it blank.",
    "opt_in": "Write yes or no, or leave it blank.",
    "opt_out": "Write yes if they left, else no.",
    "confirmation": "Write yes or no, or leave it blank.",
    "subscriptions": "Leave it blank, or take the row from the export again.",
}
_FIRST: Final = ("email", *(name for name, _ in FIELDS if name not in {"email", "tags"}))
_STATES: Final = ("state", "opt_in", "opt_out", "confirmation", "subscriptions")


class RejectedRow(msgspec.Struct, frozen=True):
    """The member names are those of the API's RejectedRow."""

    record: int
    line: int
    reason: str
    column: str | None
    cells: tuple[str, ...]
    is_cut: bool = False


class RejectReason(msgspec.Struct, frozen=True):
    reason: str
    rows: int


class RejectReasons(msgspec.Struct, frozen=True):
    items: tuple[RejectReason, ...] = ()


class MendField(msgspec.Struct, frozen=True):
    """`column`: its place among the file's columns, from 0. `value`: as it came (`was`), or as it was typed."""

    record: int
    column: int
    title: str
    value: str
    was: str
    is_address: bool = False

    @property
    def name(self) -> str:
        return field_name(self.record, self.column)


class RejectView(msgspec.Struct, frozen=True):
    """One row. `given`: the cell at fault as it came, or the whole row. `fields` are empty where it cannot be corrected
    here; then `advice` says why.
    """

    record: int
    line: int
    reason: str
    given: str
    advice: str
    fields: tuple[MendField, ...] = ()


class RejectsView(msgspec.Struct, frozen=True):
    """`rows` None: they could not be asked. `reason` and `cursor` are what was asked for. `may_mend`: rows may be
    corrected here.
    """

    rows: tuple[RejectView, ...] | None
    reasons: tuple[RejectReason, ...] = ()
    reason: str = ""
    cursor: str = ""
    next_cursor: str | None = None
    may_mend: bool = False

    @property
    def fields(self) -> tuple[tuple[RejectView, MendField], ...]:
        return tuple((row, field) for row in self.rows or () for field in row.fields)

    @property
    def is_corrected(self) -> bool:
        """Whether the page holds corrections that were not sent on."""
        return any(field.value != field.was for _, field in self.fields)


def mapping_of(job: Import) -> dict[str, str]:
    """The columns that are read, and as what: the mapping of a file of corrected rows."""
    return {title: target for title, target in (job.mapping or {}).items() if target is not None}


def can_be_mended(job: Import) -> bool:
    """Whether corrected rows can be sent as a file of their own: its addresses and columns must be known."""
    mapping = mapping_of(job)
    is_short = len(quote(json.dumps(mapping))) <= MAPPING_QUERY_BYTES_MAX
    return "email" in mapping.values() and bool(job.columns) and is_short


def columns_to_mend(job: Import) -> tuple[int, ...]:
    """The columns that a row's form has: the address, the names, what says who left, then the others that are read."""
    mapping = mapping_of(job)
    order = {target: place for place, target in enumerate((*_FIRST, *_STATES))}
    read = [number for number, title in enumerate(job.columns) if mapping.get(title, "ignored") != "ignored"]
    read.sort(key=lambda number: order.get(mapping[job.columns[number]], len(order)))
    return tuple(read[:MEND_FIELDS_MAX])


def reject_views(
    job: Import, rows: tuple[RejectedRow, ...], *, may_mend: bool, typed: Mapping[str, str]
) -> tuple[RejectView, ...]:
    """`typed`: what a form that was refused held, by field."""
    shown = columns_to_mend(job)
    return tuple(_view(job, row, shown, may_mend=may_mend, typed=typed) for row in rows)


def _view(
    job: Import, row: RejectedRow, shown: tuple[int, ...], *, may_mend: bool, typed: Mapping[str, str]
) -> RejectView:
    mapping, titles = mapping_of(job), job.columns
    at_fault = titles.index(row.column) if row.column in titles else None
    given = " · ".join(cell for cell in row.cells if cell) if at_fault is None else row.cells[at_fault]
    target = None if at_fault is None else mapping.get(titles[at_fault], "")
    advice = _ADVICE.get(target, "Correct it.")
    if target == "email" and not given.strip():
        advice = "Type the address. Without one, nobody can be added."
    if row.is_cut:
        return RejectView(
            row.record, row.line, row.reason, given, "It is too long to be corrected here. Correct it in the download."
        )
    columns = shown if at_fault is None or at_fault in shown else (*shown, at_fault)
    fields = [
        MendField(
            record=row.record,
            column=column,
            title=titles[column],
            value=typed.get(field_name(row.record, column), one_line(row.cells[column])),
            was=one_line(row.cells[column]),
            is_address=mapping.get(titles[column]) == "email",
        )
        for column in columns
    ]
    return RejectView(row.record, row.line, row.reason, given, advice, tuple(fields) if may_mend else ())


def field_name(record: int, column: int) -> str:
    return f"cell_{record}_{column}"


def one_line(cell: str) -> str:
    """The cell as a browser shows it in a field of one line, and sends it back if nobody changes it."""
    return cell.replace("\r", "").replace("\n", "")
