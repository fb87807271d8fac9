"""The first sheet of an XLSX file as records, a row at a time.

Only the table of distinct texts is held in memory as a whole, and it is bounded; so is all that the archive says it
unpacks to, before any of it is. An archive that says less than is in it gains nothing: zipfile unpacks no more than
was said.
"""

import zipfile
import zlib
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import IO, Final

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from broadsheet_subscriptions.imports.reading.record import CELL_CHARS_MAX, COLUMNS_MAX, Record, UnreadableFileError

UNPACKED_BYTES_MAX: Final = 2 * 1024 * 1024 * 1024
TEXTS_BYTES_MAX: Final = 256 * 1024 * 1024
_MEMBERS_MAX: Final = 10_000
_TEXTS: Final = "xl/sharedStrings.xml"
_DAMAGED: Final = "The spreadsheet is damaged, or not an .xlsx file."
# What a damaged or a foreign archive makes openpyxl, the XML parser and zipfile raise; an unknown
# compression is a RuntimeError (of its kind NotImplementedError).
_FAULTS: Final = (
    InvalidFileException, zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, KeyError, ValueError, IndexError,
    TypeError, AttributeError, SyntaxError, OverflowError, EOFError, OSError, RuntimeError,
)  # fmt: skip


def xlsx_records(file: IO[bytes]) -> Iterator[Record]:
    """Raises `UnreadableFileError`. A row's line is its number in the sheet."""
    _refuse_bomb(file)
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
        sheet = next((sheet for sheet in book.worksheets if sheet.sheet_state == "visible"), None)
        if sheet is None:
            raise UnreadableFileError("The spreadsheet has no sheet that is shown.")
        # What a sheet says of its size is often wrong, and some say a million columns.
        sheet.reset_dimensions()
        number = 0
        for line, row in enumerate(sheet.iter_rows(values_only=True, max_col=COLUMNS_MAX), start=1):
            cells = [_text(value) for value in row]
            if any(cells):
                number += 1
                while cells and not cells[-1]:
                    cells.pop()
                too_long = any(len(cell) > CELL_CHARS_MAX for cell in cells)
                yield Record(number, line, cells, "A cell is too long." if too_long else None)
    except _FAULTS as error:
        raise UnreadableFileError(_DAMAGED) from error


def _refuse_bomb(file: IO[bytes]) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except _FAULTS as error:
        raise UnreadableFileError(_DAMAGED) from error
    unpacked = sum(member.file_size for member in members)
    texts = sum(member.file_size for member in members if member.filename == _TEXTS)
    if len(members) > _MEMBERS_MAX or unpacked > UNPACKED_BYTES_MAX or texts > TEXTS_BYTES_MAX:
        raise UnreadableFileError("The spreadsheet is too large when unpacked. Save it as CSV.")
    file.seek(0)


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < 2**53:
            return str(int(value))
        case datetime() if value.time() == time(0):
            return value.date().isoformat()
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            return str(value)
