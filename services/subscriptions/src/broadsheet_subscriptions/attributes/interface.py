"""What the other folders may use of this one's stores."""

from broadsheet_subscriptions.attributes.store import attribute_types, hold_attributes, list_attributes

__all__ = ["attribute_types", "hold_attributes", "list_attributes"]
