"""What the other folders may use of this one's stores."""

from broadsheet_publishing.approvals.store import find_approval

__all__ = ["find_approval"]
