"""What the pages of one issue show."""

from datetime import datetime
from typing import ClassVar, Literal

import msgspec

from broadsheet_gateway.admin.charts import PACE_OF_PAUSED, joined_words, pace, time_left
from broadsheet_gateway.admin.issue.issue_views import IssueDetail, IssueEvent, IssueRow
from broadsheet_gateway.admin.issue.report import AbTestState, IssueReport
from broadsheet_gateway.admin.subscriber_names import SubscriberNames
from broadsheet_gateway.pages.views import NO_ERRORS, AdminPageView, FieldErrors

Outcome = Literal["pending", "in_flight", "accepted", "failed", "suppressed", "excluded", "uncertain", "cancelled"]


class SendingState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether all sending is running, and what stops or limits it (the API's SendingState).

    `concurrency` is the number of calls at once that Postmark's answers allow, None for no limit.
    """

    state: Literal["running", "backing_off", "paused"]
    reason: str | None = None
    back_off_until: datetime | None = None
    messages_per_s_max: float | None = None
    concurrent_calls_max: int | None = None
    concurrency: int | None = None
    breaker: Literal["closed", "half_open", "open"] = "closed"
    calls_under_way: int = 0


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """A sender process that was seen lately."""

    id: str
    host: str
    seen_at: datetime
    version: str = ""
    started_at: datetime | None = None
    draining: bool = False


class WaitingIssue(msgspec.Struct, frozen=True):
    """An issue that has not started, because its stream is not checked yet."""

    issue_id: int
    reason: str | None = None


class Senders(msgspec.Struct, frozen=True, kw_only=True):
    """The API's answer to `GET /api/v1/senders`."""

    sending: SendingState
    replicas: tuple[Replica, ...] = ()
    waiting_for_preflight: tuple[WaitingIssue, ...] = ()

    @property
    def held_up(self) -> str:
        """Why no mail leaves at present, as sentences; empty: mails leave."""
        reason = f" Reason: {self.sending.reason}" if self.sending.reason else ""
        if not self.replicas:
            return "No sender is running. Mails wait until one starts."
        if self.sending.state == "paused":
            return f"All sending is paused.{reason}"
        if self.sending.state == "backing_off":
            return f"Sending is backing off, and resumes by itself.{reason}"
        return ""


class DeliveryRow(msgspec.Struct, frozen=True, kw_only=True):
    """One recipient of an issue (the API's Delivery)."""

    id: str
    subscriber_id: int
    status: Outcome
    parked: bool = False
    reason: str | None = None
    error_code: int | None = None
    settled_at: datetime | None = None


class UnsentRow(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that will not be sent, and why. The names are those of the API's Delivery."""

    subscriber_id: int
    status: Literal["failed", "suppressed", "excluded", "cancelled"]
    reason: str | None = None
    id: str = ""


class IssueRights(msgspec.Struct, frozen=True, kw_only=True):
    """What the user may do with this issue. `timelines`: open the page of one recipient."""

    write: bool = False
    publish: bool = False
    decide: bool = False
    deliveries: bool = False
    timelines: bool = False
    reports: bool = False


class TypedAction(msgspec.Struct, frozen=True, kw_only=True):
    """What was typed into the forms of an issue's page."""

    reason: str = ""
    choice: str = ""
    note: str = ""
    winner: str = ""


class IssuePage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/issues/{id}`, and its forms answered with a refusal. Fields of `errors`: reason, choice, note, sure,
    winner.

    `unsent` are the first of those not sent to, `names` who they are, `report` its report, `test` its A/B test: None
    when a service was asked and did not answer, UNSET when it was not asked; then the page has no such part. `form_key`
    is an idempotency key. `page_path`: where the archive shows the issue; empty if it does not. `in_archive` None: its
    newsletter has none.
    """

    template: ClassVar[str] = "issue.html"

    issue: IssueDetail
    newsletter_name: str = ""
    may: IssueRights = IssueRights()
    unsent: tuple[UnsentRow, ...] | msgspec.UnsetType | None = msgspec.UNSET
    names: SubscriberNames = SubscriberNames()
    report: IssueReport | msgspec.UnsetType | None = msgspec.UNSET
    test: AbTestState | msgspec.UnsetType | None = msgspec.UNSET
    senders: Senders | None = None
    event: IssueEvent | None = None
    page_path: str = ""
    in_archive: bool | None = None
    form_key: str = ""
    typed: TypedAction = TypedAction()
    errors: FieldErrors = NO_ERRORS
    form_error: str = ""

    @property
    def pace(self) -> str:
        if self.issue.status.value == "paused":
            return PACE_OF_PAUSED
        if self.event is None:
            return ""
        return joined_words((pace(self.event.settled_per_s), time_left(self.event.seconds_left)))

    @property
    def sign(self) -> str:
        """What a script compares with each event: if it is another, more than figures has changed."""
        return f"{self.issue.status.value}|{self.issue.status_reason or ''}|{self.issue.parked}"


class IssueCancelPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/issues/{id}/cancel`: what it means, and the button."""

    template: ClassVar[str] = "issue/cancel.html"

    issue: IssueRow
    form_error: str = ""


class IssueRecipientsPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/issues/{id}/recipients?status=&q=&cursor=`. `rows` None: delivery does not answer. `names`: who they
    are. `q`: the address, name or number that was looked for; `search_is_cut`: more people fit it than were looked for;
    `search_failed`: they could not be looked for.
    """

    template: ClassVar[str] = "issue/recipients.html"

    issue: IssueRow
    may: IssueRights = IssueRights()
    status: Outcome | None = None
    rows: tuple[DeliveryRow, ...] | None
    names: SubscriberNames = SubscriberNames()
    may_search: bool = False
    q: str = ""
    search_is_cut: bool = False
    search_failed: bool = False
    next_cursor: str | None = None
    is_first_page: bool = True


class StepRow(msgspec.Struct, frozen=True, kw_only=True):
    """A step of an issue (the API's Step); `actor` by name."""

    at: datetime
    actor: str
    step: Literal[
        "created", "duplicated", "restored", "published", "scheduled", "unscheduled", "withdrawn", "cancelled",
        "test_sent", "approval_requested", "approved", "refused", "archive_changed", "winner_chosen",
    ]  # fmt: skip
    version: int
    note: str = ""


class DecisionRow(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody decided about deliveries (the API's Decision); `ranges` None: the whole issue."""

    action: Literal["mark_sent", "send_again", "give_up", "cancel", "retry_failed"]
    ranges: tuple[tuple[int, int], ...] | None = None
    decided_by: str
    note: str | None = None
    decided_at: datetime

    @property
    def deliveries(self) -> int | None:
        """How many it was about; None: the whole issue."""
        return None if self.ranges is None else sum(last - first + 1 for first, last in self.ranges)


class IssueHistoryPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/issues/{id}/history?steps=&decisions=`: two cursors. A list that could not be asked is None;
    `decisions` UNSET: the user may not see them.
    """

    template: ClassVar[str] = "issue/history.html"

    issue: IssueRow
    may: IssueRights = IssueRights()
    steps: tuple[StepRow, ...] | None
    steps_cursor: str | None = None
    decisions: tuple[DecisionRow, ...] | msgspec.UnsetType | None
    decisions_cursor: str | None = None
    is_first_page: bool = True


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to one recipient's mail. `icon` is a name of `_icons.html`."""

    at: datetime
    title: str
    detail: str = ""
    icon: Literal["publishing", "sending", "success", "error", "notice", "inbox"] = "notice"


class DeliveryPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/deliveries/{id}`: one recipient's mail, and its form answered with a refusal. Fields of `errors`:
    choice, note, sure. `entries` are the oldest first. `issue_title` empty, `newsletter_id` None: publishing does not
    answer. `names`: who the recipient is.
    """

    template: ClassVar[str] = "issue/delivery.html"

    delivery: DeliveryRow
    issue_id: int
    newsletter_id: int | None = None
    issue_title: str = ""
    entries: tuple[TimelineEntry, ...]
    may_decide: bool = False
    names: SubscriberNames = SubscriberNames()
    form_key: str = ""
    typed: TypedAction = TypedAction()
    errors: FieldErrors = NO_ERRORS
    form_error: str = ""
