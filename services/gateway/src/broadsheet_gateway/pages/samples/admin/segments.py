"""Sample data of the pages on segments."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from broadsheet_gateway.admin.deleted_page import DeletedPage
from broadsheet_gateway.admin.newsletter_facts import NewsletterFacts
from broadsheet_gateway.admin.segments.asked import Known, KnownAttribute, KnownIssue
from broadsheet_gateway.admin.segments.edit import as_text
from broadsheet_gateway.admin.segments.filter_rows import Condition, Fault, Group
from broadsheet_gateway.admin.segments.show_rows import (
    error_texts,
    field_choices,
    issue_choices,
    newsletter_choices,
    show_group,
)
from broadsheet_gateway.admin.segments.views import SegmentLine, SegmentPage, SegmentsPage
from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.views import PageView, SignedIn

_KEY = "0b9f2b9a-6f0e-4b8e-9d5b-1f6c9f1e7a11"
_KNOWN: Final = Known(
    (
        KnownAttribute("birthday", "date", "Birthday"),
        KnownAttribute("city", "text", "City"),
        KnownAttribute("member", "boolean", "Member"),
        KnownAttribute("visits", "number", "Visits to the web site"),
    ),
    (NewsletterFacts(id=1, name="The Systems Letter"), NewsletterFacts(id=2, name="Post-mortems")),
    (KnownIssue(14, "Queues that account for everybody"), KnownIssue(12, "Exactly once is a promise about records")),
)
_ROWS: Final = Group(
    "all",
    (
        Condition("tag", "has_any", value="vip\nspeaker\nconference-2026"),
        Condition("attribute:visits", "between", value="3", to="12"),
        Condition("subscription", "confirmed", of="1"),
        Group(
            "any",
            (
                Condition("opened", "within_days", value="90"),
                Condition("clicked", "issue", value="14"),
                Group("none", (Condition("attribute:birthday", "lt", value="1960-01-01"),)),
            ),
        ),
        Condition("created", "before", value="2026-01-01T12:00:00Z"),
        Condition(),
    ),
)


def _at(day: int, hour: int) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def segment_samples(signed_in: SignedIn) -> dict[str, PageView]:
    reader = msgspec.structs.replace(
        signed_in,
        permissions=signed_in.permissions - {"segments:write"},
        everywhere=signed_in.everywhere - {"segments:write"},
    )
    odd = {"all": [{"not": {"all": [{"field": "tag", "op": "has", "value": "vip"}]}}]}
    faults = (
        Fault((1,), "to", "Type a number, with a dot before its fraction."),
        Fault((3, 0), "value", "A whole number of days, 1 to 365, is expected."),
        Fault((5,), "what", "Choose what to look at, or remove the condition."),
    )
    return {
        "segments": SegmentsPage(
            signed_in=signed_in,
            flashes=(FlashCode.SEGMENT_DELETED,),
            segments=(
                SegmentLine(id=1, name="Readers in Berlin", updated_at=_at(12, 9), matching=1_204),
                SegmentLine(id=2, name="Quiet for three months", updated_at=_at(11, 9)),
                SegmentLine(
                    id=3,
                    name="A segment with a name that says everything about who is in it and why, at some length",
                    updated_at=_at(3, 9),
                    matching=None,
                ),
            ),
            next_cursor="djE6Mw",
        ),
        "segments-empty": SegmentsPage(signed_in=signed_in, segments=()),
        "segments-silent": SegmentsPage(signed_in=signed_in, segments=None, is_first_page=False),
        "segment-new": _page(
            SegmentPage(signed_in=signed_in, idempotency_key=_KEY), Group("all", (Condition(),)), new=(0,)
        ),
        "segment": _page(
            SegmentPage(
                signed_in=signed_in,
                flashes=(FlashCode.SEGMENT_SAVED,),
                segment_id=1,
                name="Readers in Berlin",
                matching=1_204,
                version='"a1"',
            ),
            _ROWS,
        ),
        "segment-errors": _page(
            SegmentPage(signed_in=signed_in, segment_id=1, version='"a1"', errors={"name": "Enter a name."}),
            _ROWS,
            faults=faults,
        ),
        "segment-json": _as_json(
            SegmentPage(signed_in=signed_in, segment_id=1, name="Odd", why_json="odd", shows_stored=True), odd
        ),
        "segment-json-errors": _as_json(
            SegmentPage(
                signed_in=signed_in,
                segment_id=1,
                name="Odd",
                why_json="asked",
                errors={"filter": "At /all/0/not/all/0/op: expected one of has, has_any, has_all"},
                error_labels=(("name", "Name"), ("filter", "Filter")),
                matching=None,
            ),
            odd,
        ),
        "segment-json-unknown": _as_json(
            SegmentPage(signed_in=signed_in, segment_id=1, name="Odd", why_json="unknown"), odd
        ),
        "segment-read": _page(
            SegmentPage(signed_in=reader, segment_id=1, name="Readers in Berlin"), Group("all", _ROWS.parts[:-1])
        ),
        "segment-read-json": _as_json(SegmentPage(signed_in=reader, segment_id=1, name="Odd", why_json="odd"), odd),
        "segment-deleted": DeletedPage(
            signed_in=signed_in,
            here="segments",
            list_path="/admin/segments",
            list_name="Segments",
            name="Readers in Berlin",
            stays="The people in it stay as they are, and issues that went to it keep a copy of the filter.",
            undo_path="/admin/segments/new",
            undo_fields=(("idempotency_key", "key"), ("name", "Readers in Berlin"), ("filter", "{}"), ("do", "save")),
        ),
        "segment-delete-refused": _page(
            SegmentPage(
                signed_in=signed_in,
                segment_id=1,
                name="Readers in Berlin",
                form_error="An issue that is not published yet goes to this segment. Choose another audience for it "
                "first.",
            ),
            _ROWS,
        ),
    }


def _page(
    view: SegmentPage, rows: Group, *, faults: tuple[Fault, ...] = (), new: tuple[int, ...] | None = None
) -> SegmentPage:
    shown = show_group(rows, _KNOWN, new=new)
    errors, labels = error_texts(faults, shown)
    return msgspec.structs.replace(
        view,
        rows=shown,
        fields=field_choices(_KNOWN),
        newsletters=newsletter_choices(rows, _KNOWN),
        issues=issue_choices(rows, _KNOWN),
        errors={**view.errors, **errors},
        error_labels=(("name", "Name"), *labels),
    )


def _as_json(view: SegmentPage, tree: dict[str, Any]) -> SegmentPage:
    return msgspec.structs.replace(view, filter_text=as_text(tree))
