"""What the pages on segments show: one Struct a page."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal

import msgspec

from broadsheet_gateway.admin.segments.condition_words import Entry
from broadsheet_gateway.admin.segments.filter_rows import Mode
from broadsheet_gateway.pages.views import AdminPageView


class Choice(msgspec.Struct, frozen=True):
    """An entry of a list: what the form sends, and what is read."""

    value: str
    text: str


class ChoiceGroup(msgspec.Struct, frozen=True):
    heading: str
    choices: tuple[Choice, ...]


class ConditionRow(msgspec.Struct, frozen=True, kw_only=True):
    """`path`: its place, which its controls are named by. `title` names it to screen readers. `…_text` is
    the control's value in words. `comparisons` are empty until it is chosen what to look at.
    """

    path: tuple[int, ...]
    title: str
    what: str = ""
    what_text: str = ""
    op: str = ""
    op_text: str = ""
    of: str = ""
    of_text: str = ""
    value: str = ""
    value_text: str = ""
    to: str = ""
    to_text: str = ""
    entry: Entry = "none"
    has_newsletter: bool = False
    has_date_picker: bool = False
    comparisons: tuple[Choice, ...] = ()
    is_new: bool = False


class GroupRow(msgspec.Struct, frozen=True, kw_only=True):
    path: tuple[int, ...]
    title: str
    mode: Mode
    parts: tuple["ConditionRow | GroupRow", ...] = ()
    may_nest: bool = True


class Segment(msgspec.Struct, frozen=True):
    """The API's Segment."""

    id: int
    name: str
    filter: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class SegmentLine(msgspec.Struct, frozen=True, kw_only=True):
    """A segment in the list. `matching`: UNSET if not counted here, None if the count did not come."""

    id: int
    name: str
    updated_at: datetime
    matching: int | msgspec.UnsetType | None = msgspec.UNSET


class SegmentsPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/segments`. `segments` None: the service does not answer."""

    template: ClassVar[str] = "segments/list.html"

    segments: tuple[SegmentLine, ...] | None
    next_cursor: str | None = None
    is_first_page: bool = True


class SegmentPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/segments/new` and `/{id}`, and their POST answered with faults or with changed rows.

    `rows` None: the filter is shown as JSON, in `filter_text`; `why_json` says why. `errors` by the ids of controls,
    `error_labels` in their order. `matching`: as in the list. `shows_stored`: the filter is the one that is stored,
    which a script then counts.
    """

    template: ClassVar[str] = "segments/segment.html"

    segment_id: int | None = None
    name: str = ""
    rows: GroupRow | None = None
    filter_text: str = ""
    why_json: Literal["", "asked", "odd", "unknown"] = ""
    fields: tuple[ChoiceGroup, ...] = ()
    newsletters: tuple[Choice, ...] = ()
    issues: tuple[Choice, ...] = ()
    matching: int | msgspec.UnsetType | None = msgspec.UNSET
    version: str = ""
    idempotency_key: str = ""
    errors: Mapping[str, str] = {}
    error_labels: tuple[tuple[str, str], ...] = ()
    form_error: str = ""
    shows_stored: bool = False

    @property
    def heading(self) -> str:
        return "New segment" if self.segment_id is None else "Segment"
