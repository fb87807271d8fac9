"""What happened to one recipient's mail, as the API answers it (`getDelivery`), put into one order. Pure."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from broadsheet_gateway.admin.issue.views import DecisionRow, DeliveryRow, TimelineEntry

ENTRIES_SHOWN_MAX: Final = 500
DETAILS_SHOWN_MAX: Final = 8
DETAIL_CHARS_MAX: Final = 300


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A call that carried the delivery. `verdict` None: under way, or its process ended."""

    started_at: datetime
    message_count: int
    replica_host: str | None = None
    verdict: str | None = None
    http_status: int | None = None
    error_code: int | None = None
    detail: str | None = None
    ended_at: datetime | None = None


class EarlierOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """An outcome that was set aside, so that the delivery could be tried again."""

    outcome: str
    reason: str | None = None
    settled_at: datetime
    retried_at: datetime


class ProviderEvent(msgspec.Struct, frozen=True, kw_only=True):
    record_type: str
    occurred_at: datetime
    detail: Any = None


class DeliveryTimeline(DeliveryRow, frozen=True, kw_only=True):
    issue_id: int
    queued_at: datetime | None = None
    attempts: tuple[Attempt, ...] = ()
    earlier_outcomes: tuple[EarlierOutcome, ...] = ()
    decisions: tuple[DecisionRow, ...] = ()
    events: tuple[ProviderEvent, ...] = ()

    @property
    def row(self) -> DeliveryRow:
        return DeliveryRow(**{name: getattr(self, name) for name in DeliveryRow.__struct_fields__})


_DECIDED: Final = {
    "mark_sent": "marked it as sent",
    "send_again": "had it sent again",
    "give_up": "gave it up",
    "cancel": "cancelled the issue",
    "retry_failed": "had what failed sent again",
}
_HAPPENED: Final = {
    "Delivery": "The receiving mail server took it",
    "Bounce": "It bounced",
    "Open": "It was opened",
    "Click": "A link in it was clicked",
    "SpamComplaint": "It was reported as spam",
    "SubscriptionChange": "The mail provider changed the subscription",
}
_OUTCOMES: Final = {
    "accepted": "Accepted by the mail provider",
    "failed": "Failed",
    "suppressed": "Not sent: suppressed",
    "excluded": "Not sent: excluded",
    "cancelled": "Not sent: cancelled",
}


def entries_of(timeline: DeliveryTimeline, names: Mapping[str, str]) -> tuple[TimelineEntry, ...]:
    """The oldest first; of more than `ENTRIES_SHOWN_MAX` the newest. `names`: who decided."""
    return tuple(sorted(_entries(timeline, names), key=lambda entry: entry.at)[-ENTRIES_SHOWN_MAX:])


def _entries(timeline: DeliveryTimeline, names: Mapping[str, str]) -> Iterator[TimelineEntry]:
    if timeline.queued_at is not None:
        yield TimelineEntry(at=timeline.queued_at, title="Queued", icon="publishing")
    for attempt in timeline.attempts:
        by = f" by {attempt.replica_host}" if attempt.replica_host else ""
        many = "1 mail" if attempt.message_count == 1 else f"{attempt.message_count:,} mails"
        yield TimelineEntry(
            at=attempt.started_at, title="A call to the mail provider began", detail=f"{many}{by}", icon="sending"
        )
        if attempt.ended_at is not None:
            yield TimelineEntry(at=attempt.ended_at, title="The call ended", detail=_verdict(attempt), icon="sending")
    for outcome in timeline.earlier_outcomes:
        yield TimelineEntry(
            at=outcome.settled_at,
            title=_OUTCOMES.get(outcome.outcome, outcome.outcome.capitalize()),
            detail=outcome.reason or "",
            icon="error",
        )
        yield TimelineEntry(at=outcome.retried_at, title="Set aside, to be sent again", icon="publishing")
    for decision in timeline.decisions:
        who = names.get(decision.decided_by, decision.decided_by)
        yield TimelineEntry(
            at=decision.decided_at, title=f"{who} {_DECIDED[decision.action]}", detail=decision.note or ""
        )
    for event in timeline.events:
        is_bad = event.record_type in {"Bounce", "SpamComplaint"}
        yield TimelineEntry(
            at=event.occurred_at,
            title=_HAPPENED.get(event.record_type, event.record_type),
            detail=_details(event.detail),
            icon="error" if is_bad else "inbox",
        )
    if timeline.settled_at is not None:
        yield TimelineEntry(
            at=timeline.settled_at,
            title=_OUTCOMES.get(timeline.status, timeline.status.capitalize()),
            detail=timeline.reason or "",
            icon="success" if timeline.status == "accepted" else "error",
        )


def _verdict(attempt: Attempt) -> str:
    parts = (
        (attempt.verdict or "").replace("_", " ").capitalize(),
        f"HTTP {attempt.http_status}" if attempt.http_status is not None else "",
        f"error {attempt.error_code}" if attempt.error_code else "",
        attempt.detail or "",
    )
    return ", ".join(part for part in parts if part)


def _details(detail: object) -> str:
    """The short facts of an event: its names and values as words."""
    if not isinstance(detail, dict):
        return ""
    facts = [
        f"{str(name).replace('_', ' ')}: {value}"[:DETAIL_CHARS_MAX]
        for name, value in detail.items()
        if isinstance(value, str | int | float) and value != ""
    ]
    return ", ".join(facts[:DETAILS_SHOWN_MAX])
