"""What the other folders may use of this one's stores."""

from broadsheet_publishing.drafts.store import read_ab_test, read_draft

__all__ = ["read_ab_test", "read_draft"]
