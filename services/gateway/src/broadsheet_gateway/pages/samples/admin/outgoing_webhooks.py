"""Sample data of the pages on outgoing webhooks."""

from datetime import UTC, datetime

import msgspec

from broadsheet_gateway.admin.differences import NOTHING_IS_LOST
from broadsheet_gateway.admin.newsletter_facts import NewsletterFacts
from broadsheet_gateway.admin.outgoing_webhooks.endpoint_form import differences_between, typed_of
from broadsheet_gateway.admin.outgoing_webhooks.views import (
    EVENTS,
    Attempt,
    Endpoint,
    EndpointPage,
    EndpointsPage,
    NewEndpointPage,
    SecretPage,
    TypedEndpoint,
    WebhookDelivery,
    WebhookDeliveryPage,
)
from broadsheet_gateway.admin.subscriber_names import NamedSubscriber, SubscriberNames
from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.views import PageView, SignedIn

_KEY = "c2FtcGxlLXNhbXBsZQ"
_VERSION = '"sample.sample"'
_NEWSLETTERS = (NewsletterFacts(id=1, name="The Systems Letter"), NewsletterFacts(id=3, name="Harbour Notes"))
_NAMES = {one.id: one.label for one in _NEWSLETTERS}
_ALL = frozenset(event for event, _, _ in EVENTS)
_SECRET = "whsec_c2FtcGxlIHNlY3JldCBvZiB0aGUgcGFnZXM="  # noqa: S105 (sample data)


def _at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


def webhook_samples(signed_in: SignedIn) -> dict[str, PageView]:
    endpoint = Endpoint(
        id=4,
        url="https://hooks.example.com/broadsheet/customers/records/of/all/departments",
        description="Customer records",
        events=("subscriber.confirmed", "subscriber.unsubscribed"),
        newsletter_ids=(1, 9),
        created_at=_at(2, 8),
    )
    failing = Endpoint(
        id=3,
        url="https://example.com/hook",
        events=tuple(event for event, _, _ in EVENTS),
        failing_since=_at(11, 4),
        created_at=_at(1, 8),
    )
    disabled = msgspec.structs.replace(
        failing, id=2, enabled=False, disabled_at=_at(12, 4), disabled_reason="No call succeeded for five days."
    )
    failed = WebhookDelivery(
        id=71,
        endpoint_id=4,
        message_id="msg_71_sample",
        type="subscriber.confirmed",
        subscriber_id=204,
        newsletter_id=1,
        occurred_at=_at(12, 9),
        status="failed",
        settled_at=_at(12, 12),
        attempts=(
            Attempt(at=_at(12, 12), duration_ms=1_204, http_status=500, answer="Internal error: no place for records"),
            Attempt(at=_at(12, 9, 5), duration_ms=15_000, error="No answer within 15 seconds"),
        ),
    )
    waiting = WebhookDelivery(
        id=73, endpoint_id=4, message_id="msg_73_sample", type="webhook.test", occurred_at=_at(12, 14), status="waiting"
    )
    later = msgspec.structs.replace(
        failed, id=72, status="waiting", settled_at=None, next_attempt_at=_at(12, 18), type="subscriber.bounced"
    )
    delivered = msgspec.structs.replace(
        failed,
        id=70,
        status="delivered",
        type="subscriber.unsubscribed",
        attempts=(Attempt(at=_at(12, 9), duration_ms=84, http_status=204),),
    )
    cancelled = msgspec.structs.replace(failed, id=69, status="cancelled", attempts=())
    page = EndpointPage(
        signed_in=signed_in,
        endpoint=endpoint,
        names=_NAMES,
        idempotency_key=_KEY,
        typed=typed_of(endpoint),
        version=_VERSION,
        newsletters=_NEWSLETTERS,
        deliveries=(waiting, later, failed, delivered, cancelled),
        next_cursor="sample",
    )
    delivery = WebhookDeliveryPage(
        signed_in=signed_in,
        delivery=failed,
        endpoint=endpoint,
        newsletter_name="The Systems Letter",
        subscribers=SubscriberNames.of_found([NamedSubscriber(204, "grace@example.com", "Grace Hopper")]),
        idempotency_key=_KEY,
    )
    typed = TypedEndpoint(url="https://hooks.example.com/new", description="New records", events=_ALL)
    return {
        "webhooks": EndpointsPage(
            signed_in=signed_in,
            flashes=(FlashCode.WEBHOOK_DELETED,),
            endpoints=(endpoint, failing, disabled),
            names=_NAMES,
        ),
        "webhooks-none": EndpointsPage(signed_in=signed_in, endpoints=(), names={}),
        "webhooks-unavailable": EndpointsPage(signed_in=signed_in, endpoints=None, names={}),
        "webhook-new": NewEndpointPage(
            signed_in=signed_in, idempotency_key=_KEY, typed=TypedEndpoint(events=_ALL), newsletters=_NEWSLETTERS
        ),
        "webhook-new-errors": NewEndpointPage(
            signed_in=signed_in,
            idempotency_key=_KEY,
            typed=TypedEndpoint(url="http://localhost/hook", newsletters=frozenset({3})),
            newsletters=_NEWSLETTERS,
            errors={"url": "It must begin with https://.", "events": "Choose at least one event."},
        ),
        "webhook-secret": SecretPage(signed_in=signed_in, endpoint_id=4, secret=_SECRET),
        "webhook-secret-changed": SecretPage(signed_in=signed_in, endpoint_id=4, secret=_SECRET, overlap_s=86_400),
        "webhook": page,
        "webhook-disabled": msgspec.structs.replace(
            page, endpoint=disabled, typed=typed_of(disabled), deliveries=(), next_cursor=None
        ),
        "webhook-failing": msgspec.structs.replace(page, endpoint=failing, deliveries=None, next_cursor=None),
        "webhook-delete-errors": msgspec.structs.replace(
            page, error_in="delete", errors={"sure": "Tick the box to delete the webhook."}
        ),
        "webhook-change-errors": msgspec.structs.replace(
            page, errors={"url": "It must begin with https://."}, typed=TypedEndpoint(url="ftp://example.com")
        ),
        "webhook-conflict": msgspec.structs.replace(
            page,
            typed=typed,
            differences=differences_between(typed, typed_of(endpoint), _NAMES),
            form_error=NOTHING_IS_LOST.format(what="this webhook"),
        ),
        "webhook-delivery": delivery,
        "webhook-delivery-waiting": msgspec.structs.replace(delivery, delivery=waiting, newsletter_name=""),
        "webhook-delivery-later": msgspec.structs.replace(delivery, delivery=later),
        "webhook-delivery-cancelled": msgspec.structs.replace(
            delivery, delivery=cancelled, form_error="This delivery was cancelled: its subscriber was removed"
        ),
    }
