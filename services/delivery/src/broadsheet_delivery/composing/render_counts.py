"""An issue whose mails mostly cannot be rendered is noticed, and paused, before a million of them have failed."""

from collections import OrderedDict
from typing import Final

from broadsheet_delivery.composing.issue_content import ContentVersion, IssueContent

RENDER_FAILURES_MIN: Final = 20
"""So many mails that could not be rendered, and more than could, and the issue is paused."""
_ISSUES_COUNTED_MAX: Final = 64


class IssueFailsError(Exception):
    """Most mails of the issue cannot be rendered: somebody should look, rather than have them fail one by one."""


class RenderCounts:
    """How many mails of an issue, as it is now, this replica could and could not render."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[int, ContentVersion], tuple[int, int]] = OrderedDict()

    def add(self, content: IssueContent, *, rendered: int, failed: int) -> None:
        """Raises `IssueFailsError`, and counts from the beginning then: who resumes the issue wants it tried again."""
        key = content.issue_id, content.version
        before = self._counts.pop(key, (0, 0))
        rendered, failed = before[0] + rendered, before[1] + failed
        if failed >= RENDER_FAILURES_MIN and failed > rendered:
            raise IssueFailsError
        self._counts[key] = rendered, failed
        if len(self._counts) > _ISSUES_COUNTED_MAX:
            self._counts.popitem(last=False)
