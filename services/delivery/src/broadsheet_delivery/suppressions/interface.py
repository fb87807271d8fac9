"""What the other folders may use of this one's stores."""

from broadsheet_delivery.suppressions.store import apply_lift, apply_suppress, extend_to_stream, newsletters_on_stream

__all__ = ["apply_lift", "apply_suppress", "extend_to_stream", "newsletters_on_stream"]
