"""What the readers of files give, whatever the format, pure."""

import re
from typing import Final

import msgspec

COLUMNS_MAX = 500
CELL_CHARS_MAX = 131_072
"""As csv's own limit. No attribute, name or address is nearly as long; an unclosed quote soon is."""


FORMULA_WITHOUT_VALUE: Final = "\0formula"
"""In the place of a cell whose formula nobody has worked out. No cell of a text file is taken for one: NUL is not
text.
"""
# As spreadsheets write them in their languages: #N/A, #NV, #REF!, #BEZUG!, #NAME?, #DIV/0!.
_SPREADSHEET_ERROR: Final = re.compile(r"#(?:[^\W\d_][\w/.]{1,19}[!?]|N/?[AVD]|N\.V\.)")


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One row: its number among the file's rows, the line it begins in, and its cells, or why they cannot be read."""

    number: int
    line: int
    cells: list[str]
    fault: str | None = None


class Place(msgspec.Struct, frozen=True):
    """Between two records: what is before it has been read. `byte_offset` is 0 where a format knows none."""

    byte_offset: int = 0
    record_number: int = 0
    line_number: int = 0


class UnreadableFileError(Exception):
    """Nothing more can be read of the file; the message is for whoever sent it."""


def error_in_cell(cell: str) -> str | None:
    """Why a cell holds nothing, where it holds a spreadsheet's mark for that; None: it is as it stands."""
    if cell == FORMULA_WITHOUT_VALUE:
        return "It is a formula without a value. Open the file in a spreadsheet program and save it again."
    if cell[:1] == "#" and _SPREADSHEET_ERROR.fullmatch(cell.strip()):
        return "A spreadsheet's mark for an error stands there."
    return None
