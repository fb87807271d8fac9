"""Sample data of the pages on suppressions."""

from datetime import UTC, datetime

from broadsheet_gateway.admin.suppressions.views import (
    NewSuppressionPage,
    Suppression,
    SuppressionsPage,
    TypedFilter,
)
from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.views import PageView, SignedIn

_STREAMS = ("broadcast", "harbour")
_KEY = "c2FtcGxlLXNhbXBsZQ"


def _at(day: int, hour: int) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def suppression_samples(signed_in: SignedIn) -> dict[str, PageView]:
    rows = (
        Suppression(
            id=9, email="reader@example.com", stream=None, kind="manual", origin="operator",
            note="Asked by telephone never to be written to again.", active=True, changed_at=_at(12, 9),
            postmark_told=False,
        ),
        Suppression(
            id=8, email="somebody.with.a.long.address@department.university.example", stream="broadcast",
            kind="complaint", origin="recipient", active=True, changed_at=_at(11, 7), postmark_told=True,
        ),
        Suppression(
            id=7, email="gone@example.com", stream="broadcast", kind="hard_bounce", origin="postmark", active=True,
            changed_at=_at(9, 7), postmark_told=True,
        ),
        Suppression(
            id=6, email="back@example.com", stream="broadcast", kind="unsubscribe", origin="operator", active=False,
            changed_at=_at(8, 7), postmark_told=False,
            postmark_refusal="Only the recipient can lift this suppression.",
        ),
    )  # fmt: skip
    return {
        "suppressions": SuppressionsPage(
            signed_in=signed_in,
            flashes=(FlashCode.SUPPRESSION_ADDED,),
            suppressions=rows,
            typed=TypedFilter(active="all"),
            streams=_STREAMS,
            next_cursor="sample",
        ),
        "suppressions-none": SuppressionsPage(signed_in=signed_in, suppressions=(), streams=_STREAMS),
        "suppressions-not-found": SuppressionsPage(
            signed_in=signed_in,
            suppressions=(),
            typed=TypedFilter(email="nobody@example.com", stream="outbound"),
            streams=_STREAMS,
        ),
        "suppressions-unavailable": SuppressionsPage(signed_in=signed_in, suppressions=None),
        "suppressions-filter-refused": SuppressionsPage(
            signed_in=signed_in,
            suppressions=None,
            typed=TypedFilter(email="x"),
            filter_error="This cursor is not valid.",
        ),
        "suppressions-reader": SuppressionsPage(
            signed_in=signed_in, suppressions=rows, may_write=False, is_first_page=False
        ),
        "suppression-new": NewSuppressionPage(signed_in=signed_in, idempotency_key=_KEY, streams=_STREAMS),
        "suppression-new-errors": NewSuppressionPage(
            signed_in=signed_in,
            idempotency_key=_KEY,
            email="reader",
            stream="Broadcast",
            note="Asked by telephone.",
            errors={
                "email": "There is no @ in it.",
                "stream": "A stream has small letters, digits, - and _.",
            },
        ),
    }
