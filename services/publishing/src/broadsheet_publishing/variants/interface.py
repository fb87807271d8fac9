"""What the other folders may use of this one's stores."""

from broadsheet_publishing.variants.store import open_ab_test

__all__ = ["open_ab_test"]
