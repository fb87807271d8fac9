"""The reader's program: `python -m …imports.reading.read_file`. It reads orders and a file from standard input, and
writes frames to standard output.

It is a process of its own for two reasons. Parsing a million rows takes as long as storing them, and both can run
at once. And a malicious file (a spreadsheet that unpacks without end) harms only this process, whose memory is
limited, and not the service. It has no secrets, opens no connection, and ends when its input ends.
"""

import gc
import resource
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final

import msgspec

from broadsheet_subscriptions.attributes.attribute import TAGS_MAX
from broadsheet_subscriptions.imports.reading.column import (
    Mapping_,
    NoAddressColumnError,
    detect_delimiter,
    open_columns,
)
from broadsheet_subscriptions.imports.reading.csv_records import CsvFile, split_lines
from broadsheet_subscriptions.imports.reading.frame import (
    LANES,
    LENGTH_BYTES,
    SAMPLE_CELL_CHARS_MAX,
    SAMPLE_ROWS_MAX,
    Batch,
    Finished,
    Frame,
    Note,
    Opened,
    Orders,
    Unreadable,
    decode_orders,
    encode,
)
from broadsheet_subscriptions.imports.reading.import_row import (
    RANK,
    ImportedPerson,
    RejectedRowError,
    RowReader,
    restore_cells,
)
from broadsheet_subscriptions.imports.reading.opt_out import how_to_decide
from broadsheet_subscriptions.imports.reading.record import (
    COLUMNS_MAX,
    FORMULA_WITHOUT_VALUE,
    Place,
    Record,
    UnreadableFileError,
)
from broadsheet_subscriptions.subscribers.subscription import State

MEMORY_BYTES_MAX: Final = 2 * 1024 * 1024 * 1024
_LOOKED_AT_LINES: Final = 1_000
"""Columns are recognised by the words in their cells, too."""
_DELIMITER_LINES: Final = 100
_XLSX_BATCH_RECORDS: Final = 10_000
_COPY_BYTES: Final = 1024 * 1024
_REASON_CHARS_MAX: Final = 2_000
_REJECTED_CELL_CHARS_MAX: Final = 10_000
_NOTHING_KNOWN: Final = r"\N"
_json = msgspec.json.Encoder().encode
_NOTE_LINES_MAX: Final = 10
_TAG_LITERALS_MAX: Final = 1_000


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    orders = decode_orders(source.read(int.from_bytes(source.read(LENGTH_BYTES), "big")))
    try:
        _read(orders, source, sink)
    except UnreadableFileError as error:
        _send(sink, Unreadable(_showable(str(error))))
    except MemoryError:
        _send(sink, Unreadable("The file takes too much memory to read. Save it as CSV."))


def _showable(reason: str) -> str:
    """A reason may quote the file, and so contain any character."""
    return "".join(char if char.isprintable() else "\ufffd" for char in reason[:_REASON_CHARS_MAX])


def _read(orders: Orders, source: BinaryIO, sink: BinaryIO) -> None:
    batches = _open_csv(orders, source, sink) if orders.file_format == "csv" else _open_xlsx(orders, source, sink)
    records = orders.place.record_number
    for batch, contents in batches:
        _send(sink, batch, *contents)
        records = batch.after.record_number
    _send(sink, Finished(records))


def _send(sink: BinaryIO, frame: Frame, *contents: bytes) -> None:
    header = encode(frame)
    sink.write(len(header).to_bytes(LENGTH_BYTES, "big") + header)
    sink.writelines(contents)
    sink.flush()


Batches = Iterator[tuple[Batch, list[bytes]]]


def _open_csv(orders: Orders, source: BinaryIO, sink: BinaryIO) -> Batches:
    # The garbage collector would look for cycles among a million short lists, and find none.
    gc.disable()
    assert orders.encoding is not None
    file = CsvFile(source, orders.encoding, orders.place, block_bytes=orders.block_bytes)
    if orders.place.record_number:
        assert orders.delimiter is not None
        delimiter, packer = orders.delimiter, _packer_of_old(orders)
    else:
        lines = file.peek(_LOOKED_AT_LINES)
        delimiter = file.told_delimiter or detect_delimiter(lines[:_DELIMITER_LINES])
        packer = _packer_of_new(orders, split_lines(lines, delimiter), delimiter, [], sink)
    for block in file.blocks(delimiter):
        yield packer.pack(block.records, block.after, is_neutralised=block.is_neutralised)


def _open_xlsx(orders: Orders, source: BinaryIO, sink: BinaryIO) -> Batches:
    # Imported only here: it takes longer to load than everything else, and most files are CSV.
    from broadsheet_subscriptions.imports.reading.xlsx_records import xlsx_records  # noqa: PLC0415

    with tempfile.TemporaryFile() as file:
        while piece := source.read(_COPY_BYTES):
            file.write(piece)
        file.seek(0)
        remarks: list[str] = []
        records = xlsx_records(file, remarks)
        looked_at: list[Record] = []
        if orders.place.record_number:
            packer = _packer_of_old(orders)
        else:
            for record in records:
                looked_at.append(record)
                if len(looked_at) == _LOOKED_AT_LINES:
                    break
            packer = _packer_of_new(orders, [one.cells for one in looked_at], None, remarks, sink)
        batch = looked_at
        for record in records:
            if record.number <= orders.place.record_number:
                continue
            batch.append(record)
            if len(batch) >= _XLSX_BATCH_RECORDS:
                yield packer.pack(batch, Place(0, record.number, record.line))
                batch = []
        if batch:
            yield packer.pack(batch, Place(0, batch[-1].number, batch[-1].line))


def _packer_of_old(orders: Orders) -> "Packer":
    assert orders.titles is not None
    assert orders.mapping is not None
    return Packer(orders, _row_reader(orders, orders.titles, orders.mapping), first_record=orders.first_record)


def _packer_of_new(
    orders: Orders, rows: Sequence[Sequence[str]], delimiter: str | None, remarks: list[str], sink: BinaryIO
) -> "Packer":
    """`rows`: the file's first ones. Raises `UnreadableFileError`, also if it is undecided whether a column says who
    may not be written to.
    """
    fault: NoAddressColumnError | None = None
    try:
        columns = open_columns(rows, orders.attributes, orders.given_mapping)
    except NoAddressColumnError as error:
        columns, fault = error.columns, error
    first_record = columns.first_row + 1
    if columns.first_row > 1:
        remarks.append(f"The titles are in row {columns.first_row}; the rows before it were not read.")
    first_rows = _sample(rows[columns.first_row :], width=len(columns.titles))
    opened = Opened(delimiter, columns.titles, columns.mapping, first_record, columns.undecided, remarks, first_rows)
    _send(sink, opened)
    if fault is not None:
        raise fault
    if columns.undecided and not orders.dry_run:
        raise UnreadableFileError(" ".join(how_to_decide(undecided) for undecided in columns.undecided))
    return Packer(orders, _row_reader(orders, columns.titles, columns.mapping), first_record=first_record)


def _sample(rows: Sequence[Sequence[str]], *, width: int) -> list[list[str]]:
    """The first rows, each with as many cells as there are columns. A cell that was cut ends in an ellipsis."""
    sample = []
    for row in rows[:SAMPLE_ROWS_MAX]:
        cells = [*row[:width], *[""] * (width - len(row))]
        restore_cells(cells)
        sample.append([_cut(_showable_cell(cell), SAMPLE_CELL_CHARS_MAX) for cell in cells])
    return sample


def _cut(cell: str, chars_max: int) -> str:
    return cell if len(cell) <= chars_max else f"{cell[: chars_max - 1]}…"


def _showable_cell(cell: str) -> str:
    return "" if cell == FORMULA_WITHOUT_VALUE else _storable(cell)


def _row_reader(orders: Orders, titles: Sequence[str], mapping: Mapping_) -> RowReader:
    return RowReader(titles, mapping, orders.attributes, newsletter_id=orders.newsletter_id)


class Packer:
    """Makes batches of records, ready for COPY. Each lane's rows are in the order of their addresses, so that lanes
    and imports lock in the same order, and neighbours in the index are inserted one after another.
    """

    def __init__(self, orders: Orders, reader: RowReader, *, first_record: int) -> None:
        self._orders = orders
        self._reader = reader
        self._first_record = first_record
        self._tag_literals: dict[tuple[str, ...], str] = {}

    def pack(
        self, records: Sequence[Record], after: Place, *, is_neutralised: bool = True
    ) -> tuple[Batch, list[bytes]]:
        """`is_neutralised`: some cell may have an apostrophe that an export has added."""
        lanes: tuple[list[tuple[str, int, str]], ...] = tuple([] for _ in range(LANES))
        rejects: list[str] = []
        notes: dict[tuple[str, str], tuple[int, list[int]]] = {}
        read, given_state, done = self._reader.read, self._orders.given_state, self._orders.lane_records
        for number, line, cells, fault in map(msgspec.structs.astuple, records):
            if number < self._first_record:
                continue
            if is_neutralised:
                restore_cells(cells)
            try:
                if fault is not None:
                    raise RejectedRowError(fault)
                person = read(cells)
            except RejectedRowError as error:
                if number > done[0]:
                    rejects.append(self._reject(number, line, cells, error))
                continue
            tags = self._tag_literal(person.tags)
            if self._reader.notes and number > done[0]:
                _count(notes, self._reader.notes, line)
            key = person.email.key
            lane = zlib.crc32(key.encode()) % LANES
            if number > done[lane]:
                lanes[lane].append((key, number, _row(person, key, tags, given_state)))
        contents = [_rows(lane) for lane in lanes]
        rejected = "".join(rejects).encode()
        batch = Batch(
            after,
            rows=(len(lanes[0]), len(lanes[1])),
            row_bytes=(len(contents[0]), len(contents[1])),
            rejected=len(rejects),
            reject_bytes=len(rejected),
            notes=[Note(column, reason, cells, lines) for (column, reason), (cells, lines) in notes.items()],
        )
        return batch, [*contents, rejected]

    def _tag_literal(self, tags: tuple[str, ...]) -> str:
        """The file's tags and those that the import adds, as the text of an array. If they are too many, the file's
        own are left out.
        """
        literal = self._tag_literals.get(tags)
        if literal is None:
            together = list(dict.fromkeys((*tags, *self._orders.added_tags)))
            if len(together) > TAGS_MAX:
                self._reader.note_tags(f"There may be at most {TAGS_MAX} tags, including those that the import adds.")
                return self._tag_literal(())
            quoted = (tag.replace("\\", "\\\\").replace('"', '\\"') for tag in together)
            literal = _escape("{" + ",".join(f'"{tag}"' for tag in quoted) + "}")
            if len(self._tag_literals) < _TAG_LITERALS_MAX:
                self._tag_literals[tags] = literal
        return literal

    def _reject(self, number: int, line: int, cells: Sequence[str], error: RejectedRowError) -> str:
        stored = [_showable_cell(cell)[:_REJECTED_CELL_CHARS_MAX] for cell in cells[:COLUMNS_MAX]]
        fields = (
            str(self._orders.import_id),
            str(self._orders.run_number),
            str(number),
            str(line),
            _NOTHING_KNOWN if error.email_key is None else _escape(error.email_key),
            _escape(_storable(str(error)[:_REASON_CHARS_MAX])),
            _escape(_json(stored).decode()),
        )
        return "\t".join(fields) + "\n"


def _count(notes: dict[tuple[str, str], tuple[int, list[int]]], found: Sequence[tuple[str, str]], line: int) -> None:
    for note in found:
        cells, lines = notes.get(note, (0, []))
        if len(lines) < _NOTE_LINES_MAX:
            lines.append(line)
        notes[note] = cells + 1, lines


def _row(person: ImportedPerson, key: str, tags: str, given_state: State) -> str:
    """The row for COPY, without the columns that its lane puts in front."""
    state = person.state
    if state is None or RANK[state] > RANK[given_state]:
        state = given_state
    attributes = _json(person.attributes).decode() if person.attributes else "{}"
    if "\\" in attributes:
        attributes = attributes.replace("\\", "\\\\")
    name = person.name
    if "\\" in name:
        name = name.replace("\\", "\\\\")
    # An address contains no backslash, and neither an address nor a name contains control characters. `join` is used
    # because an f-string takes twice as long with a subclass of `str`.
    return "\t".join((person.email, key, name, attributes, tags, state))  # noqa: FLY002


def _rows(lane: list[tuple[str, int, str]]) -> bytes:
    lane.sort()
    parts: list[str] = []
    before = ""
    for key, number, rest in lane:
        parts.append(f"{number}\t{'t' if key == before else 'f'}\t{rest}\n")
        before = key
    return "".join(parts).encode()


def _escape(text: str) -> str:
    """Escapes for COPY's text format."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _storable(text: str) -> str:
    """The text as Postgres can store it: with neither NUL nor an unpaired surrogate."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


if __name__ == "__main__":
    main()
