"""What the home page of authors shows."""

from typing import ClassVar

import msgspec

from broadsheet_gateway.admin.issue.issue_views import IssueRow
from broadsheet_gateway.admin.issue.views import Senders
from broadsheet_gateway.pages.views import AdminPageView


class SubscriberTotals(msgspec.Struct, frozen=True, kw_only=True):
    """Subscriptions by state."""

    confirmed: int
    pending: int
    unsubscribed: int


class DashboardPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/dashboard`. A part that could not be asked is None; the page says so and shows the rest.

    `older_cursor` leads to the next page of issues (`/admin/dashboard?cursor=…`).
    """

    template: ClassVar[str] = "dashboard.html"

    issues: tuple[IssueRow, ...] | None
    older_cursor: str | None = None
    is_first_page: bool = True
    senders: Senders | None = None
    subscribers: SubscriberTotals | None = None
