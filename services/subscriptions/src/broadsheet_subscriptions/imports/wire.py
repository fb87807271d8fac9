"""The query parameters, bodies and answers of imports in the API."""

from datetime import datetime
from typing import Annotated, Final

import msgspec
from litestar.params import QueryParameter

from broadsheet_common.http.record_id import RECORD_ID_MAX
from broadsheet_subscriptions.imports.import_options import (
    CONSENT_BASIS_CHARS_MAX,
    ExistingPolicy,
    GivenState,
    Status,
)
from broadsheet_subscriptions.imports.store import ImportRow

MAPPING_CHARS_MAX: Final = 50_000
TAGS_GIVEN_MAX: Final = 100
TAG_CHARS_MAX: Final = 1_000


class ImportSkipped(msgspec.Struct, frozen=True):
    """Rows whose people were not changed. `duplicate`: the address occurred before in the file; `unsubscribed`: the
    person left; `suppressed`: no mail may be sent to the address; `too_many_tags`: the person would have more
    than allowed.
    """

    duplicate: int
    unsubscribed: int
    suppressed: int
    too_many_tags: int


class ImportCounts(msgspec.Struct, frozen=True):
    """Every row that was read is counted once: `rows` is the sum of the others."""

    rows: int
    created: int
    updated: int
    unchanged: int
    rejected: int
    skipped: ImportSkipped


class ImportFile(msgspec.Struct, frozen=True):
    """`encoding` is null for a spreadsheet; `delimiter` and `columns` are null until the file is opened."""

    format: str | None
    bytes: int
    encoding: str | None
    delimiter: str | None
    columns: list[str] | None
    is_kept: bool


class ImportUndecidedColumn(msgspec.Struct, frozen=True):
    """A column that may say who must not be written to. Nothing is stored until the mapping says what it is:
    `opt_out`, `opt_in`, `state`, `confirmation`, or `ignored`. `values`: how often each value occurs in the
    file's first rows.
    """

    column: str
    reason: str
    values: dict[str, int]


class ImportNote(msgspec.Struct, frozen=True):
    """Cells of one column that could not be read, for one reason, and were left out; their people were imported all
    the same. `lines`: the lines of the first ones.
    """

    column: str
    reason: str
    cells: int
    lines: list[int]


class ImportUndo(msgspec.Struct, frozen=True):
    """`kept`: how many people or values stay because something has happened since, by reason."""

    removed: int
    restored: int
    kept: dict[str, int]


class Import(msgspec.Struct, frozen=True):
    """`status_reason`: why it failed. `mapping`: how the columns were read; `remarks`: other remarks on how the file
    was read. `notes`: at most 100, those with the most cells.
    """

    id: int
    newsletter_id: int
    status: Status
    status_reason: str | None
    dry_run: bool
    consent_basis: str
    state: GivenState
    existing: ExistingPolicy
    tags: list[str]
    mapping: dict[str, str | None] | None
    file: ImportFile
    bytes_read: int
    counts: ImportCounts
    undecided_columns: list[ImportUndecidedColumn]
    remarks: list[str]
    notes: list[ImportNote]
    undo: ImportUndo | None
    created_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class StartInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member that is null keeps its earlier value."""

    dry_run: bool = False
    consent_basis: Annotated[str, msgspec.Meta(max_length=CONSENT_BASIS_CHARS_MAX)] | None = None
    state: GivenState | None = None
    existing: ExistingPolicy | None = None
    tags: (
        Annotated[list[Annotated[str, msgspec.Meta(max_length=TAG_CHARS_MAX)]], msgspec.Meta(max_length=TAGS_GIVEN_MAX)]
        | None
    ) = None
    mapping: (
        Annotated[
            dict[str, Annotated[str, msgspec.Meta(max_length=TAG_CHARS_MAX)] | None], msgspec.Meta(max_length=500)
        ]
        | None
    ) = None


NewsletterParameter = Annotated[
    int | None,
    QueryParameter(
        name="newsletter_id", ge=1, le=RECORD_ID_MAX, description="The newsletter to import into, else the default one"
    ),
]
ConsentParameter = Annotated[
    str,
    QueryParameter(
        name="consent_basis",
        min_length=1,
        max_length=CONSENT_BASIS_CHARS_MAX,
        description="Why these people may be written to. It is stored as the record of their consent.",
    ),
]
# Litestar reserves the parameter name `state`.
StateParameter = Annotated[
    str,
    QueryParameter(
        name="state",
        description="The state of people who are new to the newsletter. `pending`: they are asked to confirm by "
        "mail, a few at a time. A more restrictive state in the file takes precedence.",
        schema_extra={"enum": ["pending", "confirmed"]},
    ),
]
ExistingParameter = Annotated[
    str,
    QueryParameter(
        name="existing",
        description="What happens to name, attributes and tags of people who are subscribers already: kept "
        "(`skip`), filled in where blank (`fill`), or replaced by the file's values (`overwrite`)",
        schema_extra={"enum": ["skip", "fill", "overwrite"]},
    ),
]
TagsParameter = Annotated[
    list[str] | None,
    QueryParameter(name="tag", max_items=TAGS_GIVEN_MAX, description="A tag for all of them; may be repeated"),
]
MappingParameter = Annotated[
    str | None,
    QueryParameter(
        name="mapping",
        max_length=MAPPING_CHARS_MAX,
        description="A JSON object from column titles to `email`, `name`, `first_name`, `last_name`, `tags`, "
        "`attribute:<name>` or null; or to how the column says who must not be written to: `state` (a word like "
        "subscribed, pending, unsubscribed), `opt_out` (any cell except a blank or a no means that the person left), "
        "`opt_in` (a no means that the person left), `confirmation` (a no means that they never confirmed), or "
        "`ignored` (the column does not say it). Several columns may say it; the most restrictive counts. Without a "
        "mapping the columns are guessed from their titles. A mapping that only says who must not be written to is "
        "added to that guess. A column that certainly says so is read as such unless it is `ignored` here.",
    ),
]
DryRunParameter = Annotated[
    bool, QueryParameter(name="dry_run", description="Only count what would happen; `start` then imports the file")
]


def import_of(row: ImportRow) -> Import:
    counts = row.counts
    return Import(
        id=row.id,
        newsletter_id=row.newsletter_id,
        status=row.status,
        status_reason=row.failure,
        dry_run=row.dry_run,
        consent_basis=row.consent_basis,
        state=row.given_state,
        existing=row.existing,
        tags=row.added_tags,
        mapping=row.mapping if row.mapping is not None else row.given_mapping,
        file=ImportFile(
            row.file_format, row.file_bytes, row.encoding, row.delimiter, row.columns, row.file_removed_at is None
        ),
        bytes_read=row.file_bytes if row.finished_at and not row.failure else row.bytes_read,
        counts=ImportCounts(
            counts.rows,
            counts.created,
            counts.updated,
            counts.unchanged,
            counts.rejected,
            ImportSkipped(counts.duplicate, counts.unsubscribed, counts.suppressed, counts.too_many_tags),
        ),
        undecided_columns=[ImportUndecidedColumn(one.column, one.reason, one.values) for one in row.undecided_columns],
        remarks=row.remarks,
        notes=[ImportNote(note.column, note.reason, note.cells, note.lines) for note in row.notes],
        undo=ImportUndo(row.undo_removed, row.undo_restored, row.undo_kept) if row.undo_step else None,
        created_by=row.created_by,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
