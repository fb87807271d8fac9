"""The first sheet of an XLSX file that is not empty, as records, one row at a time.

Only the parts that hold text are read, and only what is needed of them, so that mistakes of an exporter in fonts,
fills or properties do no harm. Styles are read only to learn which numbers are dates. If they cannot be read,
dates stay numbers and a remark says so.

Only the table of distinct texts is held in memory as a whole, and its size is bounded. So is the unpacked size
that the archive declares, before anything is unpacked. Declaring less gains nothing: zipfile unpacks no more than
the declared size. XML with declarations of its own (entities) is refused.
"""

import posixpath
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import IO, Final
from xml.parsers import expat

import msgspec

from broadsheet_subscriptions.imports.reading.record import (
    CELL_CHARS_MAX,
    COLUMNS_MAX,
    FORMULA_WITHOUT_VALUE,
    Record,
    UnreadableFileError,
)

UNPACKED_BYTES_MAX: Final = 2 * 1024 * 1024 * 1024
TEXTS_BYTES_MAX: Final = 256 * 1024 * 1024
_MEMBERS_MAX: Final = 10_000
_SHEETS_MAX: Final = 1_000
_STYLES_MAX: Final = 100_000
_ROWS_MAX: Final = 1_048_576
_PIECE_BYTES: Final = 256 * 1024
_TEXTS: Final = "sharedstrings.xml"
_WORKBOOK: Final = "xl/workbook.xml"
_DAMAGED: Final = "The spreadsheet is damaged, or not an .xlsx file."
_TOO_LARGE: Final = "The spreadsheet is too large when unpacked. Save it as CSV."
# Errors of zipfile and the XML parser for a damaged or foreign archive. An unknown compression and a password are
# RuntimeErrors.
_FAULTS: Final = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, expat.ExpatError, KeyError, ValueError, IndexError,
    OverflowError,
    EOFError, OSError, RuntimeError,
)  # fmt: skip
_ESCAPED: Final = re.compile("_x([0-9A-Fa-f]{4})_")
_REFERENCE: Final = re.compile(r"\$?([A-Z]{1,3})\$?([0-9]{1,7})")
# Those of the built-in formats, which have a number and no format text, that are dates or times (ECMA-376, 18.8.30).
_DATE_FORMATS: Final = frozenset({*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)})
_FORMAT_TEXT: Final = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.IGNORECASE)
_DATE_LETTER: Final = re.compile("[dmhysg]", re.IGNORECASE)
_EXACT_INTEGER_MAX: Final = 2**53
# Day 60 is 29 February 1900, which did not exist. So the days before it are off by one.
_EPOCH, _EPOCH_EARLY, _EPOCH_1904 = datetime(1899, 12, 30), datetime(1899, 12, 31), datetime(1904, 1, 1)  # noqa: DTZ001
_EARLY_DAYS: Final = 60
# 0001-01-01, counted as openpyxl and LibreOffice count days before 1900; and 9999-12-31.
_DAYS_MIN: Final = -693_593
_DAYS_MAX: Final = 2_958_466
_MICROSECONDS_A_DAY: Final = 86_400_000_000


class _Sheet(msgspec.Struct, frozen=True):
    name: str
    member: str


def xlsx_records(file: IO[bytes], remarks: list[str]) -> Iterator[Record]:
    """`remarks` receives remarks about the whole file; it is complete when the first record is returned.

    Raises `UnreadableFileError`. A record's line is the row's number in the sheet.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            yield from _records(_Archive(archive), remarks)
    except _FAULTS as error:
        raise UnreadableFileError(_DAMAGED) from error


def _records(archive: "_Archive", remarks: list[str]) -> Iterator[Record]:
    sheets, is_1904 = _read_book(archive)
    if not sheets:
        raise UnreadableFileError("The spreadsheet has no visible sheet.")
    texts = _read_texts(archive)
    try:
        date_styles = _read_date_styles(archive)
    except expat.ExpatError:
        date_styles = frozenset()
        remarks.append("The spreadsheet's styles cannot be read, so its dates are read as numbers.")
    is_empty = True
    for place, sheet in enumerate(sheets):
        for record in _SheetReader(texts, date_styles, is_1904=is_1904).records(archive.pieces(sheet.member)):
            if is_empty and len(sheets) > 1:
                others = (
                    f"; the {place} before it are empty"
                    if place > 1
                    else "; the one before it is empty"
                    if place
                    else ""
                )
                remarks.append(f"Of {len(sheets)} visible sheets, “{sheet.name[:80]}” was read{others}.")
            is_empty = False
            yield record
        if not is_empty:
            return


class _Archive:
    """The archive's members by name, whatever their case and slashes."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        members = archive.infolist()
        if len(members) > _MEMBERS_MAX or sum(member.file_size for member in members) > UNPACKED_BYTES_MAX:
            raise UnreadableFileError(_TOO_LARGE)
        self._members = {_key(member.filename): member for member in members}
        if any(m.file_size > TEXTS_BYTES_MAX for name, m in self._members.items() if name.endswith(_TEXTS)):
            raise UnreadableFileError(_TOO_LARGE)
        for name, kind in (
            ("content.xml", "an OpenDocument spreadsheet (.ods)"),
            ("xl/workbook.bin", "a binary spreadsheet (.xlsb)"),
        ):
            if name in self._members:
                raise UnreadableFileError(f"This is {kind}. Save it as .xlsx or as CSV.")

    def has(self, name: str) -> bool:
        return _key(name) in self._members

    def names(self) -> list[str]:
        return list(self._members)

    def pieces(self, name: str, bytes_max: int = UNPACKED_BYTES_MAX) -> Iterator[bytes]:
        member = self._members[_key(name)]
        if member.file_size > bytes_max:
            raise UnreadableFileError(_TOO_LARGE)
        with self._archive.open(member) as content:
            while piece := content.read(_PIECE_BYTES):
                yield piece


def _key(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").lower()


Attributes = dict[str, str]


def _parse(
    pieces: Iterator[bytes],
    start: Callable[[str, Attributes], None],
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Element names come without prefix. Yields after each piece, so that the caller can take what has been
    collected.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = lambda name, attributes: start(name.rpartition(" ")[2], attributes)
    if end is not None:
        parser.EndElementHandler = lambda name: end(name.rpartition(" ")[2])
    if text is not None:
        parser.CharacterDataHandler = text
    parser.EntityDeclHandler = _refuse_entities
    for piece in pieces:
        parser.Parse(piece, False)  # takes no keyword argument
        yield
    parser.Parse(b"", True)  # as above
    yield


def _refuse_entities(*_: object) -> None:
    raise UnreadableFileError(_DAMAGED)


def _all(parsing: Iterator[None]) -> None:
    for _ in parsing:
        pass


def _local(attributes: Attributes, name: str) -> str:
    """The value of an attribute, with or without a namespace; empty if it is missing."""
    return next((value for key, value in attributes.items() if key.rpartition(" ")[2] == name), "")


def _relations(archive: _Archive, of: str) -> dict[str, tuple[str, str]]:
    """By id: the last word of the type, and the member. Empty if the archive has no such part."""
    folder, name = posixpath.split(of)
    member = posixpath.join(folder, "_rels", f"{name}.rels")
    found: dict[str, tuple[str, str]] = {}

    def start(element: str, attributes: Attributes) -> None:
        if element == "Relationship" and _local(attributes, "TargetMode") != "External":
            target = _local(attributes, "Target").replace("\\", "/")
            whole = target if target.startswith("/") else posixpath.join(folder, target)
            kind = _local(attributes, "Type").rpartition("/")[2]
            found[_local(attributes, "Id")] = kind, posixpath.normpath(whole).lstrip("/")

    if archive.has(member):
        _all(_parse(archive.pieces(member, TEXTS_BYTES_MAX), start))
    return found


def _read_book(archive: _Archive) -> tuple[list[_Sheet], bool]:
    """The visible sheets in their order, and whether days are counted from 1904."""
    roots = [member for kind, member in _relations(archive, "").values() if kind == "officeDocument"]
    book = next((member for member in roots if archive.has(member)), _WORKBOOK)
    relations = _relations(archive, book)
    sheets: list[_Sheet] = []
    listed = 0
    is_1904 = False

    def start(element: str, attributes: Attributes) -> None:
        nonlocal listed, is_1904
        if element == "workbookPr":
            is_1904 = attributes.get("date1904", "0") in {"1", "true"}
        if element != "sheet":
            return
        listed += 1
        identity = next((value for key, value in attributes.items() if key.endswith("relationships id")), "")
        kind, member = relations.get(identity, ("worksheet", f"xl/worksheets/sheet{listed}.xml"))
        shown = attributes.get("state", "visible") == "visible"
        if shown and kind == "worksheet" and archive.has(member) and len(sheets) < _SHEETS_MAX:
            sheets.append(_Sheet(attributes.get("name", ""), member))

    _all(_parse(archive.pieces(book, TEXTS_BYTES_MAX), start))
    return sheets, is_1904


class _TextTable:
    """Collects the distinct texts of all sheets from the parser's events. Phonetic readings of Japanese texts are
    left out.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._parts: list[str] = []
        self._is_text = False
        self._phonetic = 0

    def start(self, element: str, _: Attributes) -> None:
        if element == "t":
            self._is_text = not self._phonetic
        elif element == "rPh":
            self._phonetic += 1

    def end(self, element: str) -> None:
        if element == "t":
            self._is_text = False
        elif element == "rPh":
            self._phonetic -= 1
        elif element == "si":
            self.texts.append(_unescaped("".join(self._parts)))
            self._parts.clear()

    def text(self, data: str) -> None:
        if self._is_text:
            self._parts.append(data)


def _read_texts(archive: _Archive) -> list[str]:
    table = _TextTable()
    name = next((name for name in archive.names() if name.endswith(_TEXTS)), None)
    if name is not None:
        _all(_parse(archive.pieces(name, TEXTS_BYTES_MAX), table.start, table.end, table.text))
    return table.texts


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


def _read_date_styles(archive: _Archive) -> frozenset[int]:
    """The numbers of the cell styles that show numbers as dates."""
    name = next((name for name in archive.names() if name.endswith("styles.xml")), None)
    formats: dict[str, str] = {}
    styles: list[str] = []
    is_of_cells = False

    def start(element: str, attributes: Attributes) -> None:
        nonlocal is_of_cells
        if element == "numFmt" and len(formats) < _STYLES_MAX:
            formats[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif element == "cellXfs":
            is_of_cells = True
        elif element == "xf" and is_of_cells and len(styles) < _STYLES_MAX:
            styles.append(attributes.get("numFmtId", "0"))

    def end(element: str) -> None:
        nonlocal is_of_cells
        if element == "cellXfs":
            is_of_cells = False

    if name is None:
        return frozenset()
    _all(_parse(archive.pieces(name, TEXTS_BYTES_MAX), start, end))
    return frozenset(number for number, style in enumerate(styles) if _is_date(style, formats.get(style)))


def _is_date(number: str, code: str | None) -> bool:
    if code is None:
        return number.isdigit() and int(number) in _DATE_FORMATS
    first = code.partition(";")[0]
    return first.lower() != "general" and _DATE_LETTER.search(_FORMAT_TEXT.sub("", first)) is not None


class _SheetReader:
    """Reads one sheet from the parser's events."""

    def __init__(self, texts: list[str], date_styles: frozenset[int], *, is_1904: bool) -> None:
        self._texts = texts
        self._date_styles = date_styles
        self._is_1904 = is_1904
        self._records: list[Record] = []
        self._number = 0
        self._line = 0
        self._cells: list[str] = []
        self._is_too_wide = False
        self._column = -1
        self._type = "n"
        self._style = 0
        self._has_formula = False
        self._has_value = False
        self._parts: list[str] = []
        self._is_content = False
        self._phonetic = 0

    def records(self, pieces: Iterator[bytes]) -> Iterator[Record]:
        for _ in _parse(pieces, self._start, self._end, self._text):
            yield from self._records
            self._records = []

    def _start(self, element: str, attributes: Attributes) -> None:
        match element:
            case "c":
                self._begin_cell(attributes)
            case "v":
                self._is_content = self._has_value = True
            case "t":
                self._is_content = not self._phonetic
                self._has_value = True
            case "f":
                self._has_formula = True
            case "rPh":
                self._phonetic += 1
            case "row":
                said = attributes.get("r", "")
                self._line = int(said) if said.isdigit() and self._line < int(said) <= _ROWS_MAX else self._line + 1
                self._cells = []
                self._column = -1
                self._is_too_wide = False
            case _:
                pass

    def _begin_cell(self, attributes: Attributes) -> None:
        found = _REFERENCE.fullmatch(attributes.get("r", ""))
        column = -1
        if found is not None:
            column = 0
            for letter in found[1]:
                column = column * 26 + ord(letter) - 64
            column -= 1
        self._column = column if column > self._column else self._column + 1
        self._type = attributes.get("t", "n")
        style = attributes.get("s", "0")
        self._style = int(style) if style.isdigit() else 0
        self._has_formula = self._has_value = False
        self._parts = []

    def _text(self, data: str) -> None:
        if self._is_content:
            self._parts.append(data)

    def _end(self, element: str) -> None:
        match element:
            case "v" | "t":
                self._is_content = False
            case "rPh":
                self._phonetic -= 1
            case "c":
                self._end_cell()
            case "row":
                self._end_row()
            case _:
                pass

    def _end_cell(self) -> None:
        text = self._value("".join(self._parts))
        if not text:
            return
        if self._column >= COLUMNS_MAX:
            self._is_too_wide = True
            return
        self._cells.extend([""] * (self._column + 1 - len(self._cells)))
        self._cells[self._column] = text

    def _end_row(self) -> None:
        cells = self._cells
        if not cells and not self._is_too_wide:
            return
        self._number += 1
        fault = None
        if self._is_too_wide:
            fault = f"The row has more than {COLUMNS_MAX} cells."
        elif any(len(cell) > CELL_CHARS_MAX for cell in cells):
            fault = "A cell is too long."
        self._records.append(Record(self._number, self._line, cells, fault))

    def _value(self, raw: str) -> str:
        if self._has_formula and (not self._has_value or (not raw and self._type != "str")):
            return FORMULA_WITHOUT_VALUE
        match self._type:
            case "s":
                return self._texts[int(raw)] if raw else ""
            case "b":
                return "true" if raw.strip() in {"1", "true"} else "false" if raw.strip() else ""
            case "inlineStr" | "str":
                return _unescaped(raw)
            case "e":
                return raw
            case "d":
                return _day_or_moment(datetime.fromisoformat(raw.strip())) if raw.strip() else ""
            case _:
                return self._number_text(raw.strip())

    def _number_text(self, raw: str) -> str:
        if raw.isdigit() and self._style not in self._date_styles and len(raw) < 16:  # noqa: PLR2004  # exact as a float
            return raw.lstrip("0") or "0"
        try:
            number = float(raw)
        except ValueError:
            return raw  # not a number, although the cell's type says so
        if self._style in self._date_styles and _DAYS_MIN <= number < _DAYS_MAX:
            return self._date_text(number)
        return str(int(number)) if number.is_integer() and abs(number) < _EXACT_INTEGER_MAX else str(number)

    def _date_text(self, days: float) -> str:
        epoch = _EPOCH_1904 if self._is_1904 else _EPOCH_EARLY if 0 <= days < _EARLY_DAYS else _EPOCH
        # Rounded to the second: a fraction of a day is not exact beyond that.
        moment = epoch + timedelta(seconds=round(days * _MICROSECONDS_A_DAY / 1_000_000))
        return moment.time().isoformat() if 0 <= days < 1 else _day_or_moment(moment)


def _day_or_moment(moment: datetime) -> str:
    return moment.date().isoformat() if moment.time() == datetime.min.time() else moment.isoformat(sep=" ")
