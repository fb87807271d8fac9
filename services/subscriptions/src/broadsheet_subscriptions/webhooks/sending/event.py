"""Events about subscribers, and the message that reports one; pure.

The message is written when it is sent, from the data at that moment, so that no queued message contains an
address.
"""

from datetime import datetime
from typing import Final, Literal, get_args

import msgspec

from broadsheet_subscriptions.subscribers.subscription import State

EventType = Literal[
    "subscriber.subscribed",
    "subscriber.confirmed",
    "subscriber.unsubscribed",
    "subscriber.bounced",
    "subscriber.complained",
]
"""`subscribed`: signed up, and pending. The last two are reported by Postmark."""

MessageType = EventType | Literal["webhook.test"]

EVENT_TYPES: Final[tuple[EventType, ...]] = get_args(EventType)


class Happening(msgspec.Struct, frozen=True):
    """One event as it was queued, together with the person's present data.

    `email` None: the subscriber does not exist any more. `source`: what changed the subscription, if that is
    known.
    """

    type: MessageType
    occurred_at: datetime
    endpoint_id: int
    subscriber_id: int | None
    email: str | None
    newsletter_id: int | None
    newsletter_slug: str | None
    state: State | None
    source: str | None


class _Subscriber(msgspec.Struct, frozen=True):
    id: int
    email: str | None


class _Newsletter(msgspec.Struct, frozen=True):
    id: int
    slug: str | None


class _SubscriberData(msgspec.Struct, frozen=True):
    subscriber: _Subscriber
    newsletter: _Newsletter | None
    state: State | None
    source: str | None


class _TestData(msgspec.Struct, frozen=True):
    endpoint_id: int


class _Message(msgspec.Struct, frozen=True):
    type: MessageType
    timestamp: datetime
    data: _SubscriberData | _TestData


def write_message(happening: Happening) -> bytes:
    """The body of the call: `type`, `timestamp` (when it happened) and `data`, as in Standard Webhooks."""
    data: _SubscriberData | _TestData
    if happening.subscriber_id is None:
        data = _TestData(happening.endpoint_id)
    else:
        newsletter = (
            None if happening.newsletter_id is None else _Newsletter(happening.newsletter_id, happening.newsletter_slug)
        )
        data = _SubscriberData(
            subscriber=_Subscriber(happening.subscriber_id, happening.email),
            newsletter=newsletter,
            state=happening.state,
            source=happening.source,
        )
    return msgspec.json.encode(_Message(happening.type, happening.occurred_at, data))


def may_be_told(happening: Happening) -> bool:
    """About a removed subscriber, only one event may be sent: that they left."""
    return happening.subscriber_id is None or happening.email is not None or happening.type == "subscriber.unsubscribed"
