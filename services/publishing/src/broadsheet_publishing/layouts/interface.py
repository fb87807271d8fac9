"""What the other folders may use of this one's stores."""

from broadsheet_publishing.layouts.store import find_layout

__all__ = ["find_layout"]
