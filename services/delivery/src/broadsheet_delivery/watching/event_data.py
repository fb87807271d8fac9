"""What the events of a stream say; pure."""

import hashlib
from datetime import datetime
from typing import Literal, assert_never

import msgspec

RunState = Literal["open", "paused", "cancelled", "finished"]
IssueStatus = Literal["publishing", "sending", "paused", "sent", "cancelled"]


class WatchedCounts(msgspec.Struct, frozen=True):
    """The audience and its eight parts, which add up to it."""

    audience: int
    pending: int
    in_flight: int
    accepted: int
    failed: int
    suppressed: int
    excluded: int
    uncertain: int
    cancelled: int

    @property
    def settled(self) -> int:
        return self.accepted + self.failed + self.suppressed + self.excluded + self.cancelled

    @property
    def waiting(self) -> int:
        """Those that are still to be sent; what is uncertain waits for an answer, not for its turn."""
        return self.pending + self.in_flight


class IssueEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An issue as it is now. Each event is complete: it replaces the one before.

    `settled_per_s` is the rate of the last 30 seconds and `seconds_left` what it leads to; both are null until they
    are known. `parked` are the uncertain deliveries that wait for a person's decision. `is_final`: nothing in the
    issue will change any more, unless somebody retries what failed; the stream ends after this event.
    """

    issue_id: int
    newsletter_id: int
    title: str
    status: IssueStatus
    status_reason: str | None
    counts: WatchedCounts
    parked: int
    settled_per_s: float | None
    seconds_left: int | None
    finished_at: datetime | None
    is_final: bool


class SendingSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Whether mail goes out, and if not, why. `replicas`: senders with a heartbeat in the last 30 seconds."""

    state: Literal["running", "backing_off", "paused"]
    reason: str | None
    back_off_until: datetime | None
    messages_per_s_max: float | None
    concurrent_calls_max: int | None
    replicas: int


class UncertainIssue(msgspec.Struct, frozen=True):
    """An issue with deliveries of unknown outcome. Those that are `parked` wait for a person; for the others
    Postmark is still being asked.
    """

    issue_id: int
    newsletter_id: int
    uncertain: int
    parked: int


class FailingWebhook(msgspec.Struct, frozen=True):
    """A webhook endpoint to which no attempt has succeeded since `failing_since`. `disabled`: it gets no more events
    until somebody enables it.
    """

    endpoint_id: int
    failing_since: datetime | None
    disabled: bool


class ImportWithRejects(msgspec.Struct, frozen=True):
    """An import of the last seven days that failed, or that left rows out. `status` checked: it waits for its start."""

    import_id: int
    newsletter_id: int
    status: str
    rejected: int
    finished_at: datetime | None


class DashboardEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What needs attention now, as far as the caller's rights go. Each event is complete: it replaces the one before.

    `issues` are those being sent, newest first; `issues_in_progress` counts them. The other lists are what waits for a
    person, or soon may. Each list has at most 50 entries. A part is null for a caller without the right to it
    (`senders:read`, `deliveries:read`, `webhooks:read`, `imports:read`).
    """

    sending: SendingSummary | None
    issues_in_progress: int
    issues: list[IssueEvent]
    uncertain: list[UncertainIssue] | None
    failing_webhooks: list[FailingWebhook] | None
    imports_with_rejects: list[ImportWithRejects] | None


def status_of_run(state: RunState, *, fan_out_is_finished: bool) -> IssueStatus:
    """The status under which the API shows a published issue."""
    match state:
        case "open":
            return "sending" if fan_out_is_finished else "publishing"
        case "finished":
            return "sent"
        case "paused" | "cancelled":
            return state
        case _:
            assert_never(state)


def state_id(event: IssueEvent | DashboardEvent) -> str:
    """Names a state, the same on every replica: a client that comes back with the id of the newest state has missed
    nothing. Rates are left out, because each replica measures its own.
    """
    if isinstance(event, IssueEvent):
        event = _without_rate(event)
    else:
        event = msgspec.structs.replace(event, issues=[_without_rate(issue) for issue in event.issues])
    return hashlib.sha256(msgspec.json.encode(event)).hexdigest()[:24]


def _without_rate(event: IssueEvent) -> IssueEvent:
    return msgspec.structs.replace(event, settled_per_s=None, seconds_left=None)
