"""What the pages of one issue show."""

from datetime import datetime
from typing import ClassVar, Literal

import msgspec

from broadsheet_gateway.admin.issue.issue_views import IssueDetail
from broadsheet_gateway.pages.views import AdminPageView


class SendingState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether all sending is running, and what stops it if not."""

    state: Literal["running", "backing_off", "paused"]
    reason: str | None = None
    back_off_until: datetime | None = None


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """A sender process that was seen lately."""

    id: str
    host: str
    seen_at: datetime
    draining: bool = False


class Senders(msgspec.Struct, frozen=True, kw_only=True):
    """The API's answer to `GET /api/v1/senders`."""

    sending: SendingState
    replicas: tuple[Replica, ...] = ()


class UnsentRow(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that will not be sent, and why. The names are those of the API's Delivery."""

    subscriber_id: int
    status: Literal["failed", "suppressed", "excluded", "cancelled"]
    reason: str | None = None


class IssuePage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/issues/{id}`.

    `unsent` are the first of those not sent to; None when delivery was asked and did not answer, UNSET when it was not
    asked: then the page has no such list.
    """

    template: ClassVar[str] = "issue.html"

    issue: IssueDetail
    unsent: tuple[UnsentRow, ...] | msgspec.UnsetType | None = msgspec.UNSET
    senders: Senders | None = None
