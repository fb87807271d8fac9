"""CSV as records, block by block, pure. Each block comes with the place after it, from which another process can
continue.

A block is two megabytes of the file, without the record that is cut off at its end. Quoting is strict: a record
that breaks its rules, for example with a quote that is never closed, is a fault, and the next line begins a new
record. Read leniently, one missing quote would swallow the people of many lines.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import msgspec

from broadsheet_subscriptions.imports.reading.record import CELL_CHARS_MAX, Place, Record, UnreadableFileError
from broadsheet_subscriptions.imports.reading.text_encoding import BYTE_ORDER_MARKS, Encoding, codec_of
from broadsheet_subscriptions.subscribers.spreadsheet_cell import may_hold_neutralised

BLOCK_BYTES: Final = 2 * 1024 * 1024
"""Some 30,000 people. Fewer, larger transactions cost less per row, and two lanes with two batches each still take
only a few megabytes.
"""
DELIMITERS: Final = (",", ";", "\t", "|")
_FAULTS_A_BLOCK_MAX: Final = 1_000
"""Each fault may have cost reading up to `CELL_CHARS_MAX` characters."""
_BROKEN_OFF_CHARS_MAX: Final = 1024 * 1024
"""A record that is longer than this is a fault, even if a quote in it could still be closed."""
_LINE_CHARS_MAX: Final = 4 * 1024 * 1024
_TOLD_DELIMITER: Final = re.compile(r'"?sep=(?P<delimiter>[^\r\n"A-Za-z0-9])"?[,;\t|]*(?:\r\n|\r|\n|$)', re.IGNORECASE)
"""A first line that Excel understands: it names the delimiter."""
_TOLD_DELIMITER_CHARS: Final = 32
_PEEKED_CHARS_MAX: Final = 2 * 1024 * 1024


class Source(Protocol):
    """The file from a place on; an empty result means its end."""

    def read(self, size: int, /) -> bytes: ...


class Block(msgspec.Struct, frozen=True):
    """`is_neutralised`: some cell may have an apostrophe against formulas."""

    records: list[Record]
    after: Place
    is_neutralised: bool


class CsvFile:
    """`source` begins at `place`. The delimiter is needed to read blocks, but not to `peek`. `told_delimiter`: the
    delimiter that the file itself names in a first line `sep=…`, which is not a record.
    """

    def __init__(self, source: Source, encoding: Encoding, place: Place, *, block_bytes: int = BLOCK_BYTES) -> None:
        self._source = source
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(codec_of(encoding))()
        self._block_bytes = block_bytes
        self._fed_bytes = place.byte_offset
        self._record_number = place.record_number
        self._line_number = place.line_number
        self._rest = ""
        self._ended = False
        self.told_delimiter: str | None = None
        csv.field_size_limit(CELL_CHARS_MAX)
        if place.byte_offset == 0:
            self._skip_mark()

    def _skip_mark(self) -> None:
        while len(self._rest) < _TOLD_DELIMITER_CHARS and not self._ended:
            self._feed()
        if self._rest.startswith("\ufeff") and self._encoding in BYTE_ORDER_MARKS:
            self._rest = self._rest[1:]
        if (found := _TOLD_DELIMITER.match(self._rest)) is not None and (found.end() < len(self._rest) or self._ended):
            self.told_delimiter = found["delimiter"]
            self._rest = self._rest[found.end() :]
            self._line_number += 1

    def _feed(self) -> None:
        piece = self._source.read(self._block_bytes)
        self._fed_bytes += len(piece)
        if not piece:
            self._ended = True
        self._rest += self._decoder.decode(piece, final=self._ended)

    def peek(self, lines_max: int) -> list[str]:
        """The first lines; they are not consumed."""
        while not self._ended and len(self._rest) < _PEEKED_CHARS_MAX and self._rest.count("\n") <= lines_max:
            self._feed()
        lines: list[str] = []
        for line in io.StringIO(self._rest, newline=""):
            if len(lines) == lines_max:
                break
            lines.append(line)
        if len(lines) > 1 and not self._ended and len(lines) < lines_max:
            lines.pop()  # it may be incomplete
        return lines

    def blocks(self, delimiter: str) -> Iterator[Block]:
        """Raises `UnreadableFileError` if a line has no end, or if hardly any record can be read."""
        while True:
            if not self._rest and self._ended:
                return
            lines = self._whole_lines()
            if lines:
                records, taken = self._parse(lines, delimiter)
                is_neutralised = may_hold_neutralised("".join(lines[:taken]))
                self._rest = "".join(lines[taken:]) + self._rest
                self._line_number += taken
                if records or (self._ended and not self._rest):
                    yield Block(records, self._place(), is_neutralised)
            if not self._ended:
                self._feed()

    def _whole_lines(self) -> list[str]:
        """Takes all lines that are certainly complete from the rest."""
        lines = list(io.StringIO(self._rest, newline=""))
        # A CR at the end may be the first half of a CRLF.
        if lines and not self._ended and not lines[-1].endswith("\n"):
            self._rest = lines.pop()
            if len(self._rest) > _LINE_CHARS_MAX:
                raise UnreadableFileError(f"Line {self._line_number + len(lines) + 1} has no end. Is this a CSV file?")
        else:
            self._rest = ""
        return lines

    def _parse(self, lines: list[str], delimiter: str) -> tuple[list[Record], int]:
        """Records, and how many lines they took. The lines of a record that is cut off at the end are left."""
        records: list[Record] = []
        start, faults, first_line = 0, 0, self._line_number + 1
        number = self._record_number
        while start < len(lines):
            reader = csv.reader(iter(lines[start:] if start else lines), delimiter=delimiter, strict=True)
            taken = 0
            try:
                for cells in reader:
                    # Blank lines, and the empty rows at the end that spreadsheets write, are not records.
                    if any(cells):
                        number += 1
                        records.append(Record(number, first_line + start + taken, cells))
                    taken = reader.line_num
            except csv.Error as error:
                start += taken
                if not self._ended and _breaks_off(error) and sum(map(len, lines[start:])) < _BROKEN_OFF_CHARS_MAX:
                    break
                faults += 1
                if faults > _FAULTS_A_BLOCK_MAX:
                    message = f"Hardly a line near line {first_line + start} can be read. Is this a CSV file?"
                    raise UnreadableFileError(message) from error
                number += 1
                records.append(Record(number, first_line + start, [lines[start].rstrip("\r\n")], _in_words(error)))
                start += 1
            else:
                start = len(lines)
        self._record_number = number
        return records, start

    def _place(self) -> Place:
        unread = len(self._rest.encode(codec_of(self._encoding))) + len(self._decoder.getstate()[0])
        return Place(self._fed_bytes - unread, self._record_number, self._line_number)


def _breaks_off(error: csv.Error) -> bool:
    return "unexpected end" in str(error)


def _in_words(error: csv.Error) -> str:
    if _breaks_off(error):
        return "A quote that opens here is never closed."
    if "expected after" in str(error):
        return "A quote closes in the middle of a cell; a quote that is part of the text must be doubled."
    if "field larger" in str(error):
        return "A cell is too long; perhaps a quote opens here and is never closed."
    return "The line is not valid CSV."


def split_lines(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """The records of a file's first lines, parsed leniently, for detection only."""
    rows = []
    try:
        for cells in csv.reader(iter(lines), delimiter=delimiter):
            if any(cells):
                rows.append(cells)  # noqa: PERF401  # what came before a fault is kept
    except csv.Error:
        return rows
    return rows
