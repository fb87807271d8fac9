"""What the list of issues shows."""

from typing import ClassVar

import msgspec

from broadsheet_gateway.admin.issue.issue_views import IssueRow, IssueStatus
from broadsheet_gateway.admin.newsletter_facts import NewsletterFacts
from broadsheet_gateway.pages.views import AdminPageView


class ListedIssue(IssueRow, frozen=True, kw_only=True):
    """The API's IssueSummary, as far as the list shows it."""

    newsletter_id: int
    parked: int = 0


class IssueFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for; empty: all. `search`: a part of the title."""

    newsletter_id: str = ""
    status: str = ""
    search: str = ""

    @property
    def is_empty(self) -> bool:
        return not (self.newsletter_id or self.status or self.search)


class IssuesPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/issues`, the newest first. `issues` None: publishing does not answer. `newsletters`: those that a new
    draft may be of, and that the list can be narrowed to.
    """

    template: ClassVar[str] = "issues/list.html"

    issues: tuple[ListedIssue, ...] | None
    newsletters: tuple[NewsletterFacts, ...]
    idempotency_key: str
    chosen: IssueFilter = IssueFilter()
    next_path: str = ""
    is_first: bool = True
    form_error: str = ""
    may_write: bool = True

    @property
    def status_choices(self) -> tuple[tuple[str, str], ...]:
        return tuple((status.value, status.label) for status in IssueStatus)

    @property
    def newsletter_choices(self) -> tuple[tuple[str, str], ...]:
        return tuple((str(one.id), one.name) for one in self.newsletters)

    def newsletter_name(self, newsletter_id: int) -> str:
        names = {one.id: one.name for one in self.newsletters}
        return names.get(newsletter_id, f"Newsletter {newsletter_id}")


class DeleteDraftPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/issues/{id}/delete`: what it means, and the button."""

    template: ClassVar[str] = "issues/delete.html"

    issue_id: int
    title: str
    versions: int
    form_error: str = ""
