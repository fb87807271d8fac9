"""What the other folders may use of this one's stores."""

from broadsheet_subscriptions.subscribers.store import SubscriberRow, find_subscriber, list_subscriptions

__all__ = ["SubscriberRow", "find_subscriber", "list_subscriptions"]
