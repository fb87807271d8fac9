"""Pause an issue whose mails mostly cannot be rendered, before a million of them have failed."""

from collections import OrderedDict
from typing import Final

from broadsheet_delivery.composing.issue_content import ContentVersion, IssueContent

RENDER_FAILURES_MIN: Final = 20
"""The issue is paused after so many mails that could not be rendered, if they are more than those that could."""
_ISSUES_COUNTED_MAX: Final = 64


class IssueFailsError(Exception):
    """Most mails of the issue cannot be rendered: it is paused rather than letting them fail one by one."""


class RenderCounts:
    """How many mails of this variant and version of an issue this replica could render, and how many not."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[int, int, ContentVersion], tuple[int, int]] = OrderedDict()

    def add(self, content: IssueContent, *, rendered: int, failed: int) -> None:
        """Raises `IssueFailsError`, and then counts from zero: resuming the issue tries again."""
        key = content.issue_id, content.variant, content.version
        before = self._counts.pop(key, (0, 0))
        rendered, failed = before[0] + rendered, before[1] + failed
        if failed >= RENDER_FAILURES_MIN and failed > rendered:
            raise IssueFailsError
        self._counts[key] = rendered, failed
        if len(self._counts) > _ISSUES_COUNTED_MAX:
            self._counts.popitem(last=False)
