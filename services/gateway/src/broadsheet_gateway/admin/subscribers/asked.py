"""What the pages on subscribers ask of the services. The members are the API's; those not shown are left out."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from broadsheet_common.http.pagination import Page
from broadsheet_gateway.admin.service_calls import ServiceCalls, or_none
from broadsheet_gateway.forwarding.upstreams import TaggedAnswer

PATH: Final = "/api/v1/subscribers"
SUBSCRIBERS_SHOWN: Final = 50
MAILS_SHOWN: Final = 10
"""A page of a person's story: what became of each mail is a call of its own."""
CONSENTS_SHOWN: Final = 100
SUPPRESSIONS_SHOWN: Final = 50
ISSUES_NAMED: Final = 200

State = Literal["pending", "confirmed", "unsubscribed"]
AttributeValue = str | int | float | bool


class Suppressed(msgspec.Struct, frozen=True):
    kind: str
    since: datetime


class Subscription(msgspec.Struct, frozen=True):
    newsletter_id: int
    state: State
    created_at: datetime
    confirmed_at: datetime | None = None
    unsubscribed_at: datetime | None = None
    import_id: int | None = None
    confirmation_queued_at: datetime | None = None
    suppressed: Suppressed | None = None


class Subscriber(msgspec.Struct, frozen=True):
    id: int
    email: str
    name: str
    created_at: datetime
    attributes: dict[str, AttributeValue] = {}
    tags: tuple[str, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    flags: tuple[str, ...] = ()


class Wording(msgspec.Struct, frozen=True):
    version: int
    text: str | None = None


class Consent(msgspec.Struct, frozen=True):
    newsletter_id: int
    kind: Literal["requested", "mail_sent", "mail_not_sent", "confirmed"]
    occurred_at: datetime
    source: Literal["form", "api", "link", "import", "system"]
    actor: str | None = None
    ip: str | None = None
    user_agent: str | None = None
    form_url: str | None = None
    wording: Wording | None = None
    mail: str | None = None
    reason: str | None = None


class MailEvent(msgspec.Struct, frozen=True):
    """An event that Postmark reported. `detail` has texts and flags by their names, whatever the kind."""

    record_type: str
    occurred_at: datetime
    detail: dict[str, Any] = {}


class Mail(msgspec.Struct, frozen=True):
    """A delivery. `queued_at` and `events` are known of one that was asked by itself."""

    id: str
    issue_id: int
    status: Literal["pending", "in_flight", "accepted", "failed", "suppressed", "excluded", "uncertain", "cancelled"]
    reason: str | None = None
    settled_at: datetime | None = None
    queued_at: datetime | None = None
    events: tuple[MailEvent, ...] | None = None


class Suppression(msgspec.Struct, frozen=True):
    kind: str
    reason: str
    active: bool
    created_at: datetime
    changed_at: datetime
    stream: str | None = None


class Attribute(msgspec.Struct, frozen=True):
    name: str
    type: Literal["text", "number", "boolean", "date"]
    label: str


class IssueTitle(msgspec.Struct, frozen=True):
    id: int
    title: str


async def ask_subscribers(calls: ServiceCalls, query: Mapping[str, str | int | None]) -> Page[Subscriber]:
    """Raises `UpstreamRefusalError` for a search that cannot be made, `ForbiddenError`."""
    return await calls.get("subscriptions", PATH, Page[Subscriber], {"limit": SUBSCRIBERS_SHOWN, **query})


async def ask_subscriber(calls: ServiceCalls, subscriber_id: int) -> TaggedAnswer[Subscriber]:
    """Raises `NotFoundError`."""
    return await calls.get_tagged("subscriptions", f"{PATH}/{subscriber_id}", Subscriber)


async def ask_consents(calls: ServiceCalls, subscriber_id: int) -> Page[Consent]:
    path = f"{PATH}/{subscriber_id}/consent"
    return await calls.get("subscriptions", path, Page[Consent], {"limit": CONSENTS_SHOWN})


async def ask_mails(calls: ServiceCalls, subscriber_id: int, *, cursor: str | None) -> Page[Mail]:
    """The newest first, each with what was reported of it where that is still kept and can be asked."""
    query: dict[str, str | int | None] = {"subscriber_id": subscriber_id, "limit": MAILS_SHOWN, "cursor": cursor}
    found = await calls.get("delivery", "/api/v1/deliveries", Page[Mail], query)

    async def whole(one: Mail) -> Mail:
        told = await or_none(calls.get("delivery", f"/api/v1/deliveries/{one.id}", Mail))
        return one if told is None else told

    return Page(list(await asyncio.gather(*map(whole, found.items))), found.next_cursor)


async def ask_suppressions(calls: ServiceCalls, email: str) -> Page[Suppression]:
    query: dict[str, str | int | None] = {"email": email, "limit": SUPPRESSIONS_SHOWN}
    return await calls.get("delivery", "/api/v1/suppressions", Page[Suppression], query)


async def ask_attributes(calls: ServiceCalls) -> tuple[Attribute, ...]:
    """All of them: the service bounds how many there are."""
    return tuple((await calls.get("subscriptions", "/api/v1/attributes", Page[Attribute])).items)


async def ask_issue_titles(calls: ServiceCalls) -> Mapping[int, str]:
    """Of the newest issues."""
    found = await calls.get("publishing", "/api/v1/issues", Page[IssueTitle], {"limit": ISSUES_NAMED})
    return {one.id: one.title for one in found.items}
