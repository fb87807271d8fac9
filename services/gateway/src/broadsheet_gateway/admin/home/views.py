"""What the home page shows."""

from typing import ClassVar, Literal

import msgspec

from broadsheet_gateway.admin.charts import PACE_OF_PAUSED, TimeChart, joined_words, pace, percent, time_left
from broadsheet_gateway.admin.issue.issue_views import IssueRow
from broadsheet_gateway.admin.issue.report import Engagement, Rates
from broadsheet_gateway.admin.issue.views import Senders
from broadsheet_gateway.admin.newsletter_facts import NewsletterFacts
from broadsheet_gateway.pages.views import AdminPageView


class SendingIssue(msgspec.Struct, frozen=True, kw_only=True):
    """An issue in progress. The rate is that of the last 30 seconds; None: not known."""

    issue: IssueRow
    settled_per_s: float | None = None
    seconds_left: int | None = None

    @property
    def pace(self) -> str:
        if self.issue.status.value == "paused":
            return PACE_OF_PAUSED
        return joined_words((pace(self.settled_per_s), time_left(self.seconds_left)))


class IssueFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The three figures of a published issue (of the API's IssueEngagement)."""

    issue_id: int
    delivered: int
    opens: Engagement
    clicks: Engagement
    rates: Rates

    @property
    def delivered_in_words(self) -> str:
        """Where Postmark reports no deliveries, nobody knows how many there were: that is not none."""
        is_reported = self.delivered > 0 or self.rates.of == "delivered"
        return f"{self.delivered:,}" if is_reported else "not reported"

    @property
    def opened(self) -> str:
        return percent(self.rates.opened_without_machines if self.opens.measured else None)

    @property
    def clicked(self) -> str:
        return percent(self.rates.clicked_without_machines if self.clicks.measured else None)


class LatestIssue(msgspec.Struct, frozen=True, kw_only=True):
    """An issue that was published. `figures` None: its report does not answer; UNSET: the user may not see it."""

    issue: IssueRow
    figures: IssueFigures | msgspec.UnsetType | None = msgspec.UNSET


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """Something that waits for a person. `page_path`: where it is done; empty if the user may not go there."""

    kind: Literal["delivery", "sending", "approval", "webhook", "import", "newsletter"]
    text: str
    page_path: str = ""
    link: str = ""


class Growth(msgspec.Struct, frozen=True, kw_only=True):
    """The last 30 days of a newsletter. `columns`: who joined and left by day; `line`: how many there were."""

    newsletter_name: str
    subscribers: int
    joined: int
    left: int
    columns: TimeChart
    line: TimeChart


class FirstStep(msgspec.Struct, frozen=True, kw_only=True):
    """What a new installation needs. `page_path` empty: the user may not go there."""

    text: str
    page_path: str = ""
    is_done: bool = False


class DashboardPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/dashboard?newsletter=`. A part that could not be asked is None; the page says so and shows the rest.
    UNSET: the user may not see it.

    `silent`: what was asked about tasks and did not answer, in words. `sign`: what a script compares with each event of
    the stream. `newsletters`: those to choose among for `growth`, whose is `newsletter_id`.
    """

    template: ClassVar[str] = "dashboard.html"

    senders: Senders | msgspec.UnsetType | None = msgspec.UNSET
    sending: tuple[SendingIssue, ...] | None
    latest: tuple[LatestIssue, ...] = ()
    unpublished: tuple[IssueRow, ...] = ()
    tasks: tuple[Task, ...] = ()
    silent: tuple[str, ...] = ()
    growth: Growth | msgspec.UnsetType | None = msgspec.UNSET
    newsletters: tuple[NewsletterFacts, ...] = ()
    newsletter_id: int = 0
    first_steps: tuple[FirstStep, ...] = ()
    sign: str = ""
