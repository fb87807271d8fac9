"""What the readers of files give, whatever the format, pure."""

import msgspec

COLUMNS_MAX = 500
CELL_CHARS_MAX = 131_072
"""As csv's own limit. No attribute, name or address is nearly as long; an unclosed quote soon is."""


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
