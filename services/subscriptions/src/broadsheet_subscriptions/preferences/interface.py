"""What the other folders may use of this one's stores."""

from broadsheet_subscriptions.preferences.store import prune_links

__all__ = ["prune_links"]
