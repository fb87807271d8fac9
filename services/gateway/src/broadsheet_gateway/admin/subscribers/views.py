"""What the pages on subscribers show: one Struct a page."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Literal

import msgspec

from broadsheet_gateway.admin.newsletter_facts import NewsletterFacts
from broadsheet_gateway.pages.views import AdminPageView

Tone = Literal["plain", "good", "bad", "note"]
State = Literal["pending", "confirmed", "unsubscribed"]


class SubscriptionRow(msgspec.Struct, frozen=True, kw_only=True):
    """`stopped`: why no issue is sent whatever the state, in words; empty if nothing stops it. `asked_at`: when the
    last mail that asks to confirm was queued; None where there was none, or nothing is to be confirmed.
    `may_be_asked_again`: the user may have it sent once more.
    """

    newsletter_id: int
    newsletter: str
    state: State
    created_at: datetime
    confirmed_at: datetime | None = None
    unsubscribed_at: datetime | None = None
    import_id: int | None = None
    stopped: str = ""
    asked_at: datetime | None = None
    may_be_asked_again: bool = False


class SubscriberLine(msgspec.Struct, frozen=True, kw_only=True):
    """A person in the list. `subscriptions_left_out`: more than are named."""

    id: int
    email: str
    name: str
    created_at: datetime
    tags: tuple[str, ...] = ()
    subscriptions: tuple[SubscriptionRow, ...] = ()
    subscriptions_left_out: int = 0


class SegmentChoice(msgspec.Struct, frozen=True):
    id: int
    name: str


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What the list is searched for, as it was typed. `by` says what `q` is; ids are digits."""

    q: str = ""
    by: str = "email_prefix"
    newsletter_id: str = ""
    state: str = ""
    tag: str = ""
    segment_id: str = ""
    suppressed: str = ""

    @property
    def are_set(self) -> bool:
        return any((self.q, self.newsletter_id, self.state, self.tag, self.segment_id, self.suppressed))


class SubscribersPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/subscribers`. `people` None: the service does not answer, or refuses the search (`errors` by the
    fields of the form). `next_query`: the next page, as a query. `must_choose_newsletter`: the user may see those of
    some newsletters only. `is_short`: the list goes on, although this page has few.
    """

    template: ClassVar[str] = "subscribers/list.html"

    people: tuple[SubscriberLine, ...] | None
    filters: Filters = Filters()
    newsletters: tuple[NewsletterFacts, ...] = ()
    segments: tuple[SegmentChoice, ...] = ()
    must_choose_newsletter: bool = False
    next_query: str = ""
    first_query: str = ""
    is_first_page: bool = True
    is_short: bool = False
    errors: Mapping[str, str] = {}

    @property
    def zone(self) -> str:
        """That of the newsletter whose people are asked for, if it is one."""
        chosen = self.filters.newsletter_id
        return self.signed_in.zones.of(int(chosen) if chosen.isascii() and chosen.isdigit() else None)


class NewSubscriberPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/subscribers/new`, and its POST answered with faults. Fields: email, name, newsletter_id, tags."""

    template: ClassVar[str] = "subscribers/new.html"

    newsletters: tuple[NewsletterFacts, ...]
    email: str = ""
    name: str = ""
    newsletter_id: str = ""
    tags: str = ""
    idempotency_key: str = ""
    errors: Mapping[str, str] = {}
    form_error: str = ""


class Fact(msgspec.Struct, frozen=True):
    label: str
    value: str


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the story. `at` None: it is not settled yet. `facts` are shown on request."""

    at: datetime | None
    text: str
    detail: str = ""
    tone: Tone = "plain"
    issue_id: int | None = None
    facts: tuple[Fact, ...] = ()


class SubscriberPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/subscribers/{id}`. `silent`: the parts that did not answer, in words; `hidden`: those that the user
    may not see. `failed_newsletter_id`: for which newsletter a confirmation could not be sent again, and `form_error`
    why.
    """

    template: ClassVar[str] = "subscribers/person.html"

    subscriber_id: int
    email: str
    name: str
    created_at: datetime
    flags: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    attributes: tuple[Fact, ...] = ()
    subscriptions: tuple[SubscriptionRow, ...] = ()
    story: tuple[Happening, ...] = ()
    silent: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    has_more_consents: bool = False
    earlier_mails: str | None = None
    is_latest: bool = True
    form_error: str = ""
    failed_newsletter_id: int | None = None
    idempotency_key: str = ""

    @property
    def gets_any(self) -> bool:
        return any(one.state != "unsubscribed" for one in self.subscriptions)


class AttributeField(msgspec.Struct, frozen=True, kw_only=True):
    """A field of the form. `position` makes its name: `attribute_3`."""

    position: int
    name: str
    label: str
    type: Literal["text", "number", "boolean", "date"]
    value: str = ""
    has_date_picker: bool = True


class EditSubscriberPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/subscribers/{id}/edit`, and its POST answered with faults. `attributes` None: they could not be
    asked, and stay as they are. Fields: name, tags, attribute_1 and so on.
    """

    template: ClassVar[str] = "subscribers/edit.html"

    subscriber_id: int
    email: str
    name: str
    tags: str
    attributes: tuple[AttributeField, ...] | None
    version: str
    errors: Mapping[str, str] = {}
    form_error: str = ""


class UnsubscribePersonPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/subscribers/{id}/unsubscribe`, and its POST refused. `chosen`: a newsletter's id, or `all`."""

    template: ClassVar[str] = "subscribers/unsubscribe.html"

    subscriber_id: int
    email: str
    subscriptions: tuple[SubscriptionRow, ...]
    may_leave_all: bool
    chosen: str = ""
    idempotency_key: str = ""
    errors: Mapping[str, str] = {}
    form_error: str = ""


class ErasePersonPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/subscribers/{id}/erase`, and its POST refused. Field: understood."""

    template: ClassVar[str] = "subscribers/erase.html"

    subscriber_id: int
    email: str
    idempotency_key: str = ""
    errors: Mapping[str, str] = {}
    form_error: str = ""


class ExportPersonPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/subscribers/{id}/export`: what the file holds, and the link to it."""

    template: ClassVar[str] = "subscribers/export.html"

    subscriber_id: int
    email: str
