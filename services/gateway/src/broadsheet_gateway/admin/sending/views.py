"""What the page on sending shows."""

from datetime import datetime
from typing import ClassVar

import msgspec

from broadsheet_gateway.admin.differences import Difference
from broadsheet_gateway.admin.issue.issue_views import IssueRow
from broadsheet_gateway.admin.issue.views import Senders, WaitingIssue
from broadsheet_gateway.pages.views import NO_ERRORS, AdminPageView, FieldErrors


class WaitingRow(msgspec.Struct, frozen=True, kw_only=True):
    """An issue whose stream is not checked yet. `title` empty: it is not known."""

    waiting: WaitingIssue
    title: str = ""


class QueueRow(msgspec.Struct, frozen=True, kw_only=True):
    """An issue that is being sent: how many of it wait, and since when the first of them has."""

    issue: IssueRow
    since: datetime | None


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody paused, resumed or limited sending. `limits`: those since then, in words."""

    at: datetime
    actor: str
    action: str
    limits: str = ""


class TypedSending(msgspec.Struct, frozen=True, kw_only=True):
    """What was typed, or what is in force."""

    reason: str = ""
    messages_per_s_max: str = ""
    concurrent_calls_max: str = ""


class SendingPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/sending`, and its forms answered with faults. Fields of `errors`: reason, messages_per_s_max,
    concurrent_calls_max. A part that could not be asked is None; `audit` UNSET: the user may not read the log.
    `version`: the entity tag that the limits are sent with. `differences`: what somebody else has set meanwhile.
    """

    template: ClassVar[str] = "sending/sending.html"

    senders: Senders | None
    waiting: tuple[WaitingRow, ...] = ()
    queue: tuple[QueueRow, ...] | None
    audit: tuple[AuditRow, ...] | msgspec.UnsetType = msgspec.UNSET
    may_change: bool = False
    typed: TypedSending = TypedSending()
    version: str = ""
    differences: tuple[Difference, ...] = ()
    errors: FieldErrors = NO_ERRORS
    form_error: str = ""

    @property
    def queued(self) -> int:
        return sum(row.issue.counts.waiting for row in self.queue or ())
