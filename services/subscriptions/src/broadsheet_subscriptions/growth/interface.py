"""What the other folders may use of this one's store, in the same transaction."""

from broadsheet_subscriptions.growth.store import take_back_imported

__all__ = ["take_back_imported"]
