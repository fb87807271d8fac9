"""What the other folders may use of this one's stores."""

from broadsheet_delivery.preflight.store import WaitingIssue, count_unchecked_issues, unchecked_issues

__all__ = ["WaitingIssue", "count_unchecked_issues", "unchecked_issues"]
