"""An issue and its progress as the pages show them.

The member names are the API's (`GET /api/v1/issues`, `GET /api/v1/issues/{id}`), so that its answers decode into these
Structs as they are; members not shown are ignored.
"""

from datetime import datetime
from enum import StrEnum
from typing import assert_never

import msgspec


class IssueStatus(StrEnum):
    DRAFT = "draft"
    SCHEDULED = "scheduled"
    PUBLISHING = "publishing"
    SENDING = "sending"
    PAUSED = "paused"
    SENT = "sent"
    CANCELLED = "cancelled"

    @property
    def label(self) -> str:
        return self.value.capitalize()

    @property
    def is_moving(self) -> bool:
        """Whether its counts may change without anybody acting, so that a page should watch it."""
        match self:
            case IssueStatus.PUBLISHING | IssueStatus.SENDING | IssueStatus.PAUSED:
                return True
            case IssueStatus.DRAFT | IssueStatus.SCHEDULED | IssueStatus.SENT | IssueStatus.CANCELLED:
                return False
            case _:
                assert_never(self)

    @property
    def has_progress(self) -> bool:
        return self not in {IssueStatus.DRAFT, IssueStatus.SCHEDULED}


class CountRow(msgspec.Struct, frozen=True):
    """One of the eight parts of an audience."""

    key: str
    label: str
    meaning: str
    count: int


class Segment(msgspec.Struct, frozen=True):
    """The width of a part's segment in the bar, in per cent, to three places."""

    key: str
    start_percent: float
    width_percent: float


# Settled ones first, so that the bar fills from the left.
_PARTS = (
    ("accepted", "Accepted", "Accepted by the mail provider for delivery."),
    ("failed", "Failed", "Refused permanently. The reason is recorded for each."),
    ("suppressed", "Suppressed", "Not sent: the address bounced, complained or opted out before."),
    ("excluded", "Excluded", "Not sent: no longer subscribed, or not an address that mail can reach."),
    ("cancelled", "Cancelled", "Not sent: the issue was cancelled first."),
    (
        "uncertain",
        "Uncertain",
        "The answer was lost. The provider is being asked, so that nobody gets the issue twice.",
    ),
    ("in_flight", "In flight", "In a call to the mail provider right now."),
    ("pending", "Pending", "Queued, and not yet handed to the mail provider."),
)


class IssueCounts(msgspec.Struct, frozen=True):
    """The audience of an issue and its eight parts, which add up to it."""

    audience: int = 0
    pending: int = 0
    in_flight: int = 0
    accepted: int = 0
    failed: int = 0
    suppressed: int = 0
    excluded: int = 0
    uncertain: int = 0
    cancelled: int = 0

    @property
    def parts(self) -> tuple[CountRow, ...]:
        return tuple(CountRow(key, label, meaning, getattr(self, key)) for key, label, meaning in _PARTS)

    @property
    def parts_total(self) -> int:
        return sum(part.count for part in self.parts)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The parts side by side, in the order of `parts`, filling the bar (empty ones too, for live updates)."""
        found, before = [], 0
        for part in self.parts:
            whole = max(self.parts_total, 1)
            found.append(Segment(part.key, round(before * 100 / whole, 3), round(part.count * 100 / whole, 3)))
            before += part.count
        return tuple(found)

    @property
    def settled(self) -> int:
        """Those with their final outcome, whichever it is."""
        return self.accepted + self.failed + self.suppressed + self.excluded + self.cancelled

    @property
    def waiting(self) -> int:
        """Those that are still to be sent; what is uncertain waits for an answer, not for its turn."""
        return self.pending + self.in_flight

    @property
    def not_sent(self) -> int:
        """Those who finally will not get the issue."""
        return self.settled - self.accepted

    @property
    def settled_percent(self) -> int:
        """Whole per cent, rounded down: 100 only when all are settled."""
        return self.settled * 100 // self.audience if self.audience else 0


class IssueRow(msgspec.Struct, frozen=True, kw_only=True):
    """An issue in a list (the API's IssueSummary). `parked` of its uncertain deliveries wait for a person.

    `in_archive` None: in the newsletter's archive unless it goes to a segment. `slug` is its address there.
    """

    id: int
    newsletter_id: int = 0
    segment_id: int | None = None
    title: str
    status: IssueStatus
    counts: IssueCounts
    status_reason: str | None = None
    created_at: datetime
    scheduled_at: datetime | None = None
    scheduled_local: datetime | None = None
    scheduled_time_zone: str | None = None
    published_at: datetime | None = None
    finished_at: datetime | None = None
    parked: int = 0
    slug: str | None = None
    in_archive: bool | None = None

    @property
    def was_published(self) -> bool:
        """Whether there is something to count: a draft may be cancelled too."""
        return self.status.has_progress and self.published_at is not None


class AbTest(msgspec.Struct, frozen=True):
    """That an issue has an A/B test; how far it is, another operation tells."""

    share_percent: int = 0


class IssueDetail(IssueRow, frozen=True, kw_only=True):
    """An issue with its content (the API's Issue)."""

    created_by: str
    format: str
    content: str
    text_content: str | None
    subject: str | None = None
    preheader: str = ""
    ab_test: AbTest | None = None


class IssueEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The data of an event about an issue in progress (the API's IssueEvent). The rate is that of the last 30 s."""

    issue_id: int
    newsletter_id: int
    title: str
    status: IssueStatus
    status_reason: str | None
    counts: IssueCounts
    parked: int
    settled_per_s: float | None
    seconds_left: int | None
