"""An import as the pages show it. The member names are those of the API's Import, whose answers decode into these."""

from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

import msgspec

GivenState = Literal["pending", "confirmed"]
ExistingPolicy = Literal["skip", "fill", "overwrite"]

DECISIONS: Final[tuple[tuple[str, str], ...]] = (
    ("opt_out", "Left: anything but a blank or a no"),
    ("opt_in", "Wants mail: a no means that they left"),
    ("state", "State: subscribed, pending, unsubscribed …"),
    ("confirmation", "Confirmed: a no means not yet"),
    ("ignored", "Says nothing of the kind"),
)
"""How a column may say who must not get mail, and that it does not."""

FIELDS: Final[tuple[tuple[str, str], ...]] = (
    ("email", "E-mail address"),
    ("name", "Name"),
    ("first_name", "First name"),
    ("last_name", "Last name"),
    ("tags", "Tags"),
)

_KILO: Final = 1_000
_DECIDING: Final = frozenset(value for value, _ in DECISIONS) | {"subscriptions"}
_KEPT_REASONS: Final[dict[str, str]] = {
    "changed_since": "somebody changed the person since",
    "subscription_changed_since": "the subscription changed since",
    "left_since": "they left since",
    "has_another_subscription": "they have a subscription to another newsletter",
    "in_a_later_import": "a later import holds them too",
}


class ImportStatus(StrEnum):
    UPLOADING = "uploading"
    QUEUED = "queued"
    RUNNING = "running"
    CHECKED = "checked"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNDOING = "undoing"
    UNDONE = "undone"

    @property
    def label(self) -> str:
        return self.value.capitalize()

    @property
    def is_moving(self) -> bool:
        """Whether it goes on without anybody acting, so that a page should keep asking."""
        return self in {ImportStatus.UPLOADING, ImportStatus.QUEUED, ImportStatus.RUNNING, ImportStatus.UNDOING}

    @property
    def icon(self) -> str:
        return _ICONS[self]


_ICONS: Final[dict[ImportStatus, str]] = {
    ImportStatus.UPLOADING: "sending",
    ImportStatus.QUEUED: "scheduled",
    ImportStatus.RUNNING: "sending",
    ImportStatus.CHECKED: "notice",
    ImportStatus.DONE: "sent",
    ImportStatus.FAILED: "error",
    ImportStatus.CANCELLED: "cancelled",
    ImportStatus.UNDOING: "backing_off",
    ImportStatus.UNDONE: "cancelled",
}


class Skipped(msgspec.Struct, frozen=True):
    duplicate: int = 0
    unsubscribed: int = 0
    suppressed: int = 0
    too_many_tags: int = 0

    @property
    def total(self) -> int:
        return self.duplicate + self.unsubscribed + self.suppressed + self.too_many_tags


class Counts(msgspec.Struct, frozen=True):
    """Every row that was read is counted once."""

    rows: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    skipped: Skipped = Skipped()


class ImportedFile(msgspec.Struct, frozen=True):
    format: str | None = None
    bytes: int = 0
    encoding: str | None = None
    delimiter: str | None = None
    columns: tuple[str, ...] | None = None
    is_kept: bool = True

    @property
    def described(self) -> str:
        """`CSV, 1.2 MB, windows-1252, semicolons`."""
        names = {",": "commas", ";": "semicolons", "\t": "tabs"}
        parts = [self.format.upper() if self.format else "", _size(self.bytes), self.encoding or ""]
        return ", ".join(part for part in (*parts, names.get(self.delimiter or "", "")) if part)


class UndecidedColumn(msgspec.Struct, frozen=True):
    column: str
    reason: str
    values: dict[str, int]


class CellNote(msgspec.Struct, frozen=True):
    column: str
    reason: str
    cells: int
    lines: tuple[int, ...] = ()


class Undo(msgspec.Struct, frozen=True):
    removed: int
    restored: int
    kept: dict[str, int]

    @property
    def kept_parts(self) -> tuple[tuple[str, int], ...]:
        return tuple((_KEPT_REASONS.get(reason, reason.replace("_", " ")), n) for reason, n in self.kept.items() if n)


class Import(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    newsletter_id: int
    status: ImportStatus
    status_reason: str | None = None
    dry_run: bool = False
    consent_basis: str = ""
    state: GivenState = "pending"
    existing: ExistingPolicy = "fill"
    tags: tuple[str, ...] = ()
    mapping: dict[str, str | None] | None = None
    file: ImportedFile = ImportedFile()
    bytes_read: int = 0
    counts: Counts = Counts()
    undecided_columns: tuple[UndecidedColumn, ...] = ()
    remarks: tuple[str, ...] = ()
    notes: tuple[CellNote, ...] = ()
    undo: Undo | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def read_percent(self) -> int:
        """Of the file, 0 to 100; 100 only at its end."""
        return min(100, self.bytes_read * 100 // self.file.bytes) if self.file.bytes else 0

    @property
    def is_waiting_to_start(self) -> bool:
        """As the service has it: after a dry run, or after a run that failed before it stored anything."""
        is_possible = self.status is ImportStatus.CHECKED or (
            self.status is ImportStatus.FAILED and (self.dry_run or self.counts.rows == 0)
        )
        return is_possible and self.file.is_kept and self.file.format is not None

    @property
    def may_be_stopped(self) -> bool:
        return self.status in {ImportStatus.QUEUED, ImportStatus.RUNNING, ImportStatus.CHECKED}

    @property
    def may_be_undone(self) -> bool:
        is_over = self.status in {ImportStatus.DONE, ImportStatus.CANCELLED, ImportStatus.FAILED}
        return is_over and not self.dry_run and self.counts.rows > 0

    @property
    def is_ready(self) -> bool:
        """Whether it was checked, and nothing is left to decide."""
        return self.is_waiting_to_start and self.status is ImportStatus.CHECKED and not self.undecided_columns

    @property
    def lacks_addresses(self) -> bool:
        """Whether the file was opened, and no column of it was found to hold addresses."""
        return self.mapping is not None and "email" not in self.mapping.values()

    @property
    def version(self) -> str:
        """What a form sends back: another check, or a start, makes another one."""
        return self.finished_at.isoformat() if self.finished_at is not None else ""

    @property
    def columns(self) -> tuple[str, ...]:
        return self.file.columns or ()


class ImportSample(msgspec.Struct, frozen=True):
    """The first rows of the file, a cell for each of `columns`."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


class Attribute(msgspec.Struct, frozen=True):
    name: str
    label: str


class ColumnRow(msgspec.Struct, frozen=True):
    """A column of the file, and what it is taken for. `choices`: the values that its list offers, with their texts;
    the empty one is “not read”, or, of a column that is to be decided, no decision. Such a one has a `reason`, and
    `values`: how often each occurs in the first rows. `read_as`: what the file was read with last, where a form that
    was refused has chosen something else.
    """

    number: int
    title: str
    chosen: str
    choices: tuple[tuple[str, str], ...]
    is_undecided: bool = False
    reason: str = ""
    values: tuple[tuple[str, int], ...] = ()
    read_as: str = ""


def column_rows(
    job: Import, attributes: tuple[Attribute, ...], typed: dict[str, str | None] | None = None
) -> tuple[ColumnRow, ...]:
    """`typed`: the mapping of a form that was refused, in place of the import's own."""
    mapping = typed if typed is not None else job.mapping or {}
    undecided = {one.column: one for one in job.undecided_columns}
    known = (*FIELDS, *((f"attribute:{one.name}", one.label) for one in attributes))
    rows = []
    for number, title in enumerate(job.columns, start=1):
        target = mapping.get(title) or ""
        to_decide = undecided.get(title)
        deciding = to_decide is not None or (job.mapping or {}).get(title) in _DECIDING
        if to_decide is not None:
            choices = (("", "Choose what it says"), *DECISIONS, *known)
        elif deciding:
            choices = (*DECISIONS, *known)
        else:
            choices = (("", "Not read"), *known, *DECISIONS[:-1])
        if target not in {value for value, _ in choices}:
            choices = (*choices, (target, "As it was read: " + target))
        row = ColumnRow(number, title, target, choices)
        if (read_as := (job.mapping or {}).get(title) or "") != target:
            row = msgspec.structs.replace(row, read_as=dict(choices).get(read_as) or read_as or "Not read")
        if to_decide is not None:
            values = tuple(to_decide.values.items())
            row = msgspec.structs.replace(row, is_undecided=True, reason=to_decide.reason, values=values)
        rows.append(row)
    return tuple(rows)


def _size(size: int) -> str:
    if size < _KILO:
        return f"{size} bytes"
    return f"{size / _KILO:,.0f} KB" if size < _KILO**2 else f"{size / _KILO**2:,.1f} MB"
