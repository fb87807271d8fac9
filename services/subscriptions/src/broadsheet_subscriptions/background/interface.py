"""What the other folders may use of this one's stores."""

from broadsheet_subscriptions.background.prune_store import Lifetimes

__all__ = ["Lifetimes"]
