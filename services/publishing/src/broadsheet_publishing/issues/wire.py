"""What the API shows of an issue."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from broadsheet_common.http.entity_tag import entity_tag
from broadsheet_common.http.record_id import RecordId
from broadsheet_publishing.compiling.compiled_issue import Fault
from broadsheet_publishing.compiling.issue_source import RAW_LINE_CHARS_MAX, Format
from broadsheet_publishing.issues.issue import Status, status_of, status_reason
from broadsheet_publishing.issues.store import Counts, IssueRow, ProgressRow
from broadsheet_publishing.variants.ab_test import AbTest


class IssueSummary(msgspec.Struct, frozen=True, kw_only=True):
    """An issue as lists show it. `subject` null: the title is the subject. `status_reason` says why it is paused, or
    what it waits for. `version` counts its saves.

    `scheduled_at` is when it goes out, or was to; `scheduled_local` in `scheduled_time_zone` is what its author chose,
    where it was a local time. `in_reader_time_zone`: at that local time of each subscriber, in waves that begin at
    `scheduled_at`. `in_archive` null: in the newsletter's archive unless it goes to a segment. `counts` is
    all 0 for a draft; `parked` of its uncertain deliveries wait for a person's decision.
    """

    id: int
    newsletter_id: int
    segment_id: int | None
    title: str
    subject: str | None
    preheader: str
    format: Format
    slug: str | None
    in_archive: bool | None
    status: Status
    status_reason: str | None
    version: int
    created_by: str
    saved_by: str
    created_at: datetime
    updated_at: datetime
    scheduled_at: datetime | None
    scheduled_local: str | None
    scheduled_time_zone: str | None
    in_reader_time_zone: bool
    published_at: datetime | None
    finished_at: datetime | None
    parked: int
    counts: Counts


class Issue(IssueSummary, frozen=True, kw_only=True):
    """An issue with its content, which is in `format`. `layout_id` null: the newsletter's. `text_content` null: the
    plain text is made from the content. `ab_test` null: everybody gets the same. `faults`: why a draft cannot be
    published as it is; each with its field, line and column.
    """

    layout_id: int | None
    content: str
    text_content: str | None
    ab_test: AbTest | None
    faults: tuple[Fault, ...]


class SavedIssue(IssueSummary, frozen=True, kw_only=True):
    """A draft without its texts, for who has just sent them. `faults` as of an `Issue`."""

    faults: tuple[Fault, ...]


RawLine = Annotated[str, msgspec.Meta(max_length=RAW_LINE_CHARS_MAX)]


class IssueFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an author sets of an issue. What is left out is not in `given()`."""

    title: RawLine | UnsetType = UNSET
    subject: RawLine | UnsetType | None = UNSET
    preheader: RawLine | UnsetType = UNSET
    format: Format | UnsetType = UNSET
    content: str | UnsetType = UNSET
    text_content: str | UnsetType | None = UNSET
    layout_id: RecordId | UnsetType | None = UNSET
    ab_test: AbTest | UnsetType | None = UNSET
    segment_id: RecordId | UnsetType | None = UNSET
    slug: RawLine | UnsetType | None = UNSET
    in_archive: bool | UnsetType | None = UNSET

    def given(self) -> dict[str, object]:
        """The fields that were sent."""
        fields = {name: getattr(self, name) for name in IssueFields.__struct_fields__}
        return {name: value for name, value in fields.items() if value is not UNSET}


def issue_summary(row: IssueRow, all_progress: Mapping[int, ProgressRow]) -> IssueSummary:
    # A draft that is being published at this moment is still shown as a draft, with all its fields.
    found = all_progress.get(row.id) if row.status == "published" else None
    shown = {name: value for name, value in msgspec.structs.asdict(row).items() if name in _SHOWN}
    return IssueSummary(
        **shown,
        status=status_of(row.status, found.progress if found else None),
        status_reason=status_reason(found.progress, found.parked) if found else row.schedule_note,
        finished_at=found.finished_at if found else None,
        parked=found.parked if found else 0,
        counts=found.counts if found else Counts(),
    )


_SHOWN = frozenset(IssueSummary.__struct_fields__) - {"status"}


def summary_tag(summary: IssueSummary) -> str:
    """The entity tag of an issue: it changes with every save, step and count, and needs no look at the content."""
    own = summary if type(summary) is IssueSummary else _without_content(summary)
    return entity_tag(own)


def draft_tag(row: IssueRow) -> str:
    """The tag of an issue that is not published."""
    return summary_tag(issue_summary(row, {}))


def _without_content(issue: IssueSummary) -> IssueSummary:
    return IssueSummary(**{name: getattr(issue, name) for name in IssueSummary.__struct_fields__})
