"""What the pages on outgoing webhooks show."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final, Literal

import msgspec

from broadsheet_gateway.admin.differences import Difference
from broadsheet_gateway.admin.newsletter_facts import NewsletterFacts
from broadsheet_gateway.admin.subscriber_names import SubscriberNames
from broadsheet_gateway.pages.views import NO_ERRORS, AdminPageView, FieldErrors

EVENTS: Final[tuple[tuple[str, str, str], ...]] = (
    ("subscriber.subscribed", "Signed up", "Somebody signed up, and is asked to confirm."),
    ("subscriber.confirmed", "Confirmed", "A subscription was confirmed: issues are sent from now on."),
    ("subscriber.unsubscribed", "Left", "Somebody left, was taken out, or was erased."),
    ("subscriber.bounced", "Bounced", "Postmark reports that mail to the address came back."),
    ("subscriber.complained", "Complained", "Postmark reports that a mail was marked as spam."),
)
"""Event, name and explanation of each."""

DeliveryStatus = Literal["waiting", "delivered", "failed", "cancelled"]

_EVENT_NAMES: Final = {value: text for value, text, _ in EVENTS} | {"webhook.test": "Test message"}


def event_text(event: str) -> str:
    return _EVENT_NAMES.get(event, event)


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The member names are those of the API's WebhookEndpoint."""

    id: int
    url: str
    description: str = ""
    events: tuple[str, ...] = ()
    newsletter_ids: tuple[int, ...] | None = None
    enabled: bool = True
    disabled_reason: str | None = None
    disabled_at: datetime | None = None
    failing_since: datetime | None = None
    created_at: datetime

    @property
    def events_text(self) -> str:
        return ", ".join(event_text(one) for one in self.events)

    @property
    def name(self) -> str:
        return self.description or self.url


class CreatedEndpoint(msgspec.Struct, frozen=True):
    id: int
    secret: str


class RotatedSecret(msgspec.Struct, frozen=True):
    secret: str


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime
    duration_ms: int
    http_status: int | None = None
    error: str | None = None
    answer: str | None = None

    @property
    def result(self) -> str:
        return f"Status {self.http_status}" if self.http_status is not None else self.error or "No answer"


class WebhookDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """The member names are those of the API's WebhookDelivery. `attempts`: newest first."""

    id: int
    endpoint_id: int
    message_id: str
    type: str
    subscriber_id: int | None = None
    newsletter_id: int | None = None
    occurred_at: datetime
    status: DeliveryStatus
    next_attempt_at: datetime | None = None
    settled_at: datetime | None = None
    attempts: tuple[Attempt, ...] = ()

    @property
    def event_text(self) -> str:
        return event_text(self.type)

    @property
    def is_moving(self) -> bool:
        """Whether its first attempt comes in a moment, so that a page should keep asking."""
        return self.status == "waiting" and not self.attempts


class TypedEndpoint(msgspec.Struct, frozen=True):
    url: str = ""
    description: str = ""
    events: frozenset[str] = frozenset()
    newsletters: frozenset[int] = frozenset()
    """Empty: every newsletter."""


class EndpointsPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/webhooks`. `endpoints` None: the service does not answer."""

    template: ClassVar[str] = "outgoing_webhooks/endpoints.html"

    endpoints: tuple[Endpoint, ...] | None
    names: Mapping[int, str]
    next_cursor: str | None = None
    is_first_page: bool = True
    may_write: bool = True


class NewEndpointPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/webhooks/new`, and its POST answered with faults. Fields of `errors`: url, description, events,
    newsletter_ids.
    """

    template: ClassVar[str] = "outgoing_webhooks/new_endpoint.html"
    events: ClassVar[tuple[tuple[str, str, str], ...]] = EVENTS

    idempotency_key: str
    typed: TypedEndpoint
    newsletters: tuple[NewsletterFacts, ...] = ()
    errors: FieldErrors = NO_ERRORS
    form_error: str = ""


class SecretPage(AdminPageView, frozen=True, kw_only=True):
    """The answer that alone holds a signing secret. `overlap_s`: how long the one before still signs, in seconds;
    None: the endpoint is new.
    """

    template: ClassVar[str] = "outgoing_webhooks/secret.html"

    endpoint_id: int
    secret: str
    overlap_s: int | None = None


OVERLAPS: Final[tuple[tuple[str, str], ...]] = (
    ("86400", "for a day"),
    ("3600", "for an hour"),
    ("604800", "for a week"),
    ("0", "no longer: it is known to others"),
)
"""Seconds for which the earlier secret still signs."""


class EndpointPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/webhooks/{id}`, and its forms answered with faults. `error_in` says which form.

    `deliveries` None: the log could not be asked. `status`: the one that is shown; empty: all. `version`: the entity
    tag that a change is sent with. `differences`: what somebody else has saved meanwhile.
    """

    template: ClassVar[str] = "outgoing_webhooks/endpoint.html"
    events: ClassVar[tuple[tuple[str, str, str], ...]] = EVENTS
    overlaps: ClassVar[tuple[tuple[str, str], ...]] = OVERLAPS

    endpoint: Endpoint
    names: Mapping[int, str]
    idempotency_key: str
    typed: TypedEndpoint
    version: str
    differences: tuple[Difference, ...] = ()
    newsletters: tuple[NewsletterFacts, ...] = ()
    deliveries: tuple[WebhookDelivery, ...] | None = ()
    status: str = ""
    next_cursor: str | None = None
    is_first_page: bool = True
    may_write: bool = True
    error_in: Literal["change", "delete"] = "change"
    errors: FieldErrors = NO_ERRORS
    form_error: str = ""


class WebhookDeliveryPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/webhooks/deliveries/{id}`. `endpoint` None: it could not be asked."""

    template: ClassVar[str] = "outgoing_webhooks/delivery.html"

    delivery: WebhookDelivery
    endpoint: Endpoint | None
    newsletter_name: str = ""
    subscribers: SubscriberNames = SubscriberNames()
    idempotency_key: str
    may_write: bool = True
    form_error: str = ""
