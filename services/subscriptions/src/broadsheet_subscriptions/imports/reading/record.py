"""What the readers of files produce, whatever the format, pure."""

import re
from typing import Final

import msgspec

COLUMNS_MAX = 500
CELL_CHARS_MAX = 131_072
"""The limit of the csv module. No attribute, name or address is nearly as long, but the text after an unclosed quote
soon is.
"""


FORMULA_WITHOUT_VALUE: Final = "\0formula"
"""Stands for a cell whose formula has no stored value. A cell of a text file that begins with NUL is unreadable too."""
# Error marks of spreadsheets in several languages: #N/A, #NV, #REF!, #BEZUG!, #NAME?, #DIV/0!.
_SPREADSHEET_ERROR: Final = re.compile(r"#(?:[^\W\d_][\w/.]{1,19}[!?]|N/?[AVD]|N\.V\.)")


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One row: its number among the file's rows, the line in which it begins, and its cells, or why they cannot be
    read.
    """

    number: int
    line: int
    cells: list[str]
    fault: str | None = None


class Place(msgspec.Struct, frozen=True):
    """A place between two records; everything before it has been read. `byte_offset` is 0 if the format has none."""

    byte_offset: int = 0
    record_number: int = 0
    line_number: int = 0


class UnreadableFileError(Exception):
    """The file cannot be read any further. The message is for the person who sent it."""


def error_in_cell(cell: str) -> str | None:
    """The reason why a cell has no value, if it holds a spreadsheet's mark for that; None: it is an ordinary cell."""
    if cell == FORMULA_WITHOUT_VALUE:
        return "It is a formula without a value. Open the file in a spreadsheet program and save it again."
    if cell[:1] == "#" and _SPREADSHEET_ERROR.fullmatch(cell.strip()):
        return "The cell holds a spreadsheet's error mark."
    return None
