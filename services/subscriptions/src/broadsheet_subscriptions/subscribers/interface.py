"""What the other folders may use of this one's stores."""

from broadsheet_subscriptions.subscribers.store import (
    SubscriberRow,
    find_subscriber,
    list_subscriptions,
    lock_subscribers,
)

__all__ = ["SubscriberRow", "find_subscriber", "list_subscriptions", "lock_subscribers"]
