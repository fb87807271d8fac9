"""What the other folders may use of this one's stores."""

from broadsheet_publishing.issues.store import ISSUE_COLUMNS, IssueRow, find_issue

__all__ = ["ISSUE_COLUMNS", "IssueRow", "find_issue"]
