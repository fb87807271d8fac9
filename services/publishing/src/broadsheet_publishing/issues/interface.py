"""What the other folders may use of this one's stores."""

from broadsheet_publishing.issues.compiled_store import drop_compiled
from broadsheet_publishing.issues.give_web_path import give_web_path
from broadsheet_publishing.issues.newsletter_of_issue import newsletter_of_issue
from broadsheet_publishing.issues.store import (
    ISSUE_COLUMNS,
    IssueRow,
    find_issue,
    issue_row,
    lock_slugs,
    read_attribute_names,
    read_attribute_types,
    read_now,
    segment_exists,
)

__all__ = [
    "ISSUE_COLUMNS",
    "IssueRow",
    "drop_compiled",
    "find_issue",
    "give_web_path",
    "issue_row",
    "lock_slugs",
    "newsletter_of_issue",
    "read_attribute_names",
    "read_attribute_types",
    "read_now",
    "segment_exists",
]
