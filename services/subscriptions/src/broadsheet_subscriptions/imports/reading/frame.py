"""The protocol between the reader's process and the service, pure: length, header, contents.

To the reader: one `Orders`, then the file. From it: one `Opened`, then `Batch`es, then `Finished`; or
`Unreadable` at any time. A batch's contents are ready for COPY, and the service passes them on unchanged.
"""

from typing import Final

import msgspec

from broadsheet_subscriptions.imports.reading.column import KnownAttribute, Mapping_
from broadsheet_subscriptions.imports.reading.csv_records import BLOCK_BYTES
from broadsheet_subscriptions.imports.reading.opt_out import UndecidedColumn
from broadsheet_subscriptions.imports.reading.record import Place
from broadsheet_subscriptions.imports.reading.text_encoding import Encoding, FileFormat
from broadsheet_subscriptions.subscribers.subscription import State

LANES: Final = 2
SAMPLE_ROWS_MAX: Final = 5
SAMPLE_CELL_CHARS_MAX: Final = 100
LENGTH_BYTES: Final = 4
FRAME_BYTES_MAX: Final = 256 * 1024 * 1024
"""Far more than one block of the file can produce."""

INCOMING_COLUMNS: Final = (
    "record_number", "is_repeat", "email", "email_key", "name", "attributes", "tags", "state",
)  # fmt: skip
"""Columns of the temporary table that a lane's rows are copied into, in the order of the contents."""
REJECT_COLUMNS: Final = (
    "import_id", "run_number", "record_number", "line_number", "email_key", "reason", "cells",
)  # fmt: skip


class Orders(msgspec.Struct, frozen=True):
    """`delimiter`, `titles` and `mapping` are None in a new run. When a run is continued, they and `place` come from
    it.

    `lane_records`: each lane has stored all of its rows up to this record. `first_record`: the first that is a
    person.
    """

    import_id: int
    run_number: int
    file_format: FileFormat
    encoding: Encoding | None
    attributes: list[KnownAttribute]
    given_mapping: Mapping_ | None
    given_state: State
    added_tags: list[str]
    place: Place
    lane_records: tuple[int, int]
    newsletter_id: int
    dry_run: bool
    first_record: int = 1
    block_bytes: int = BLOCK_BYTES
    delimiter: str | None = None
    titles: list[str] | None = None
    mapping: Mapping_ | None = None


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    """`first_rows`: cells of the first people, at most `SAMPLE_CELL_CHARS_MAX` long, to see what the columns are."""

    delimiter: str | None
    titles: list[str]
    mapping: Mapping_
    first_record: int
    undecided: list[UndecidedColumn]
    remarks: list[str]
    first_rows: list[list[str]]


class Note(msgspec.Struct, frozen=True):
    """Cells of one column that could not be read, for one reason: how many, and the lines of the first ones."""

    column: str
    reason: str
    cells: int
    lines: list[int]


class Batch(msgspec.Struct, frozen=True, tag="batch"):
    """`rows` and `row_bytes` are per lane. All rejected rows and notes belong to the first lane. The contents follow
    in this order.
    """

    after: Place
    rows: tuple[int, int]
    row_bytes: tuple[int, int]
    rejected: int
    reject_bytes: int
    notes: list[Note]


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    records: int


class Unreadable(msgspec.Struct, frozen=True, tag="unreadable"):
    reason: str


Frame = Opened | Batch | Finished | Unreadable

encode = msgspec.msgpack.Encoder().encode
decode_frame = msgspec.msgpack.Decoder(Frame).decode
decode_orders = msgspec.msgpack.Decoder(Orders).decode
