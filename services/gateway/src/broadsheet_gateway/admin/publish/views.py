"""What the page shows that sends an issue."""

from datetime import datetime
from typing import ClassVar, Literal

import msgspec

from broadsheet_gateway.admin.editor.views import Finding
from broadsheet_gateway.admin.issue.issue_views import IssueStatus
from broadsheet_gateway.admin.newsletter_facts import NewsletterFacts
from broadsheet_gateway.admin.time_zones import TIME_ZONES
from broadsheet_gateway.pages.views import NO_ERRORS, AdminPageView, FieldErrors

When = Literal["now", "later", "readers"]


class Excluded(msgspec.Struct, frozen=True):
    """How many of the newsletter's people would get nothing, each under one reason."""

    pending: int = 0
    unsubscribed: int = 0
    outside_segment: int = 0
    suppressed: int = 0
    erased: int = 0


class Person(msgspec.Struct, frozen=True):
    id: int
    email: str
    name: str = ""


class Audience(msgspec.Struct, frozen=True, kw_only=True):
    """The API's: who would get the issue if it were published at `as_of`."""

    count: int
    excluded: Excluded
    sample: tuple[Person, ...] = ()
    as_of: datetime
    token: str


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """The API's. `version`: the one that was asked about."""

    is_required: bool
    state: Literal["none", "requested", "approved", "refused", "void"]
    version: int | None = None
    requested_by: str | None = None
    requested_at: datetime | None = None
    request_note: str = ""
    decided_by: str | None = None
    decided_at: datetime | None = None
    decision_note: str = ""


class Wave(msgspec.Struct, frozen=True, kw_only=True):
    """The API's: a moment at which those of some time zones get the issue."""

    due_at: datetime
    time_zones: tuple[str, ...]
    is_fallback: bool = False
    recipients: int | None = None


class TypedSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """`at` as `<input type="datetime-local">` gives it. `occurrence`: which of two times, where the clocks bring one
    twice; empty: not asked.
    """

    when: When = "now"
    at: str = ""
    time_zone: str = ""
    occurrence: str = ""


class SendPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/issues/{id}/send`, and its forms answered with faults. A part that could not be asked is None.

    `held_up`: why no mail leaves at present; empty too for who may not see it. `typed_to`: addresses of the test mail,
    at first the user's own if they have one; `has_own_address` False: they have none. `inbox_url`: where the mails of a
    local set-up arrive. `form_error` belongs to the form that was sent; the errors of all forms
    have different names.
    """

    template: ClassVar[str] = "publish/send.html"

    issue_id: int
    title: str
    subject: str
    status: IssueStatus
    status_reason: str | None = None
    version: int
    newsletter: NewsletterFacts | None
    segment_name: str | None = None
    has_segment: bool = False
    has_ab_test: bool = False
    blocking: tuple[Finding, ...] | None = None
    warnings: int = 0
    audience: Audience | None = None
    audience_refusal: str = ""
    approval: Approval | None = None
    is_ones_own_request: bool = False
    waves: tuple[Wave, ...] = ()
    scheduled_at: datetime | None = None
    scheduled_local: datetime | None = None
    scheduled_time_zone: str | None = None
    in_reader_time_zone: bool = False
    send_key: str
    test_key: str
    typed: TypedSchedule = TypedSchedule()
    held_up: str = ""
    typed_to: str = ""
    has_own_address: bool = True
    inbox_url: str = ""
    typed_note: str = ""
    errors: FieldErrors = NO_ERRORS
    form_error: str = ""
    failed_form: Literal["", "send", "test", "approval"] = ""
    may_publish: bool = True
    may_approve: bool = False
    may_test: bool = True

    @property
    def time_zones(self) -> tuple[str, ...]:
        return TIME_ZONES

    @property
    def missing_in_words(self) -> tuple[str, ...]:
        lacks = {"from_email": "the sender's address", "postal_address": "a postal address"}
        return tuple(lacks.get(name, name) for name in (self.newsletter.missing if self.newsletter is not None else ()))

    @property
    def is_for_nobody(self) -> bool:
        """As things are. Until it goes out at a later time, there may be somebody."""
        return self.audience is not None and self.audience.count == 0

    @property
    def when(self) -> When:
        """The choice that the form shows as made."""
        return "later" if self.is_for_nobody and self.typed.when == "now" else self.typed.when

    @property
    def is_blocked(self) -> bool:
        return bool(self.blocking) or (self.newsletter is not None and not self.newsletter.is_ready)

    @property
    def waits_for_approval(self) -> bool:
        return self.approval is not None and self.approval.is_required and self.approval.state != "approved"
