"""The dashboard's event as the API has it (`watchDashboard`), and what of it is a task for a person. Pure."""

from datetime import datetime
from typing import Literal

import msgspec

from broadsheet_gateway.admin.home.views import Task
from broadsheet_gateway.admin.issue.issue_views import IssueEvent


class SendingSummary(msgspec.Struct, frozen=True, kw_only=True):
    state: Literal["running", "backing_off", "paused"]
    reason: str | None = None
    replicas: int


class UncertainIssue(msgspec.Struct, frozen=True):
    issue_id: int
    newsletter_id: int
    uncertain: int
    parked: int


class FailingWebhook(msgspec.Struct, frozen=True):
    endpoint_id: int
    failing_since: datetime | None
    disabled: bool


class ImportWithRejects(msgspec.Struct, frozen=True):
    import_id: int
    newsletter_id: int
    status: str
    rejected: int


class DashboardEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A part is None for a user without the right to it."""

    sending: SendingSummary | None
    issues: tuple[IssueEvent, ...]
    uncertain: tuple[UncertainIssue, ...] | None
    failing_webhooks: tuple[FailingWebhook, ...] | None
    imports_with_rejects: tuple[ImportWithRejects, ...] | None


def sign_of(event: DashboardEvent) -> str:
    """What is not a mere figure. The page's script makes the same text of each event (`live.js`); if it is another, it
    takes the page anew.
    """
    sending = event.sending
    parts = (
        "" if sending is None else f"{sending.state}|{sending.reason or ''}|{sending.replicas}",
        ",".join(f"{one.issue_id}={one.status.value}" for one in event.issues),
        ",".join(f"{one.issue_id}={one.uncertain}/{one.parked}" for one in event.uncertain or ()),
        ",".join(f"{one.endpoint_id}={int(one.disabled)}" for one in event.failing_webhooks or ()),
        ",".join(f"{one.import_id}={one.status}/{one.rejected}" for one in event.imports_with_rejects or ()),
    )
    return ";".join(parts)


def tasks_of(event: DashboardEvent, titles: dict[int, str]) -> list[Task]:
    """`titles` of issues by id; one that is not known is named by its number."""
    tasks = []
    for one in event.uncertain or ():
        name = f"“{titles[one.issue_id]}”" if one.issue_id in titles else f"issue {one.issue_id}"
        if one.parked:
            text = f"{_deliveries(one.parked)} of {name} may or may not have been sent. Somebody has to decide."
        else:
            text = f"The mail provider is asked about {_deliveries(one.uncertain)} of {name}. Nothing to do yet."
        tasks.append(
            Task(kind="delivery", text=text, page_path=f"/admin/issues/{one.issue_id}", link="Look at the issue")
        )
    for hook in event.failing_webhooks or ():
        since = "" if hook.failing_since is None else f" since {hook.failing_since:%-d %B %Y, %H:%M} UTC"
        text = (
            f"Webhook {hook.endpoint_id} was switched off after failing{since}."
            if hook.disabled
            else f"Webhook {hook.endpoint_id} has been failing{since}."
        )
        path = f"/admin/webhooks/{hook.endpoint_id}"
        tasks.append(Task(kind="webhook", text=text, page_path=path, link="Look at the webhook"))
    tasks.extend(
        Task(
            kind="import",
            text=_import(file),
            page_path=f"/admin/imports/{file.import_id}",
            link="Look at the import",
        )
        for file in event.imports_with_rejects or ()
    )
    return tasks


def _deliveries(count: int) -> str:
    return "1 delivery" if count == 1 else f"{count:,} deliveries"


def _import(file: ImportWithRejects) -> str:
    rows = "1 row" if file.rejected == 1 else f"{file.rejected:,} rows"
    if file.status == "failed":
        return f"Import {file.import_id} failed."
    if file.status == "checked":
        return f"Import {file.import_id} is checked and waits for its start; {rows} would be left out."
    return f"Import {file.import_id} left {rows} out."
