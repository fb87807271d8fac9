"""What the other folders may use of this one's stores."""

from broadsheet_subscriptions.leaving.store import set_unsubscribed

__all__ = ["set_unsubscribed"]
