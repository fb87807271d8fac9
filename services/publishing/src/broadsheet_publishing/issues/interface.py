"""What the other folders may use of this one's stores."""

from broadsheet_publishing.issues.compiled_store import drop_compiled
from broadsheet_publishing.issues.give_web_path import give_web_path
from broadsheet_publishing.issues.store import (
    ISSUE_COLUMNS,
    IssueRow,
    find_issue,
    issue_row,
    read_attribute_names,
    segment_exists,
)

__all__ = [
    "ISSUE_COLUMNS",
    "IssueRow",
    "drop_compiled",
    "find_issue",
    "give_web_path",
    "issue_row",
    "read_attribute_names",
    "segment_exists",
]
