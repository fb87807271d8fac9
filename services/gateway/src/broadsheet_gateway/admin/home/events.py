"""The dashboard's event as the API has it (`watchDashboard`), and what of it is a task for a person. Pure."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from broadsheet_gateway.admin.home.views import SendingIssue, Task
from broadsheet_gateway.admin.issue.issue_views import IssueEvent
from broadsheet_gateway.admin.issue.views import Senders, SendingState
from broadsheet_gateway.pages.times import instant_in_words


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
    """A part is None for a user without the right to it. The state of sending is left out: the page has it from
    `getSenders`.
    """

    issues: tuple[IssueEvent, ...]
    uncertain: tuple[UncertainIssue, ...] | None
    failing_webhooks: tuple[FailingWebhook, ...] | None
    imports_with_rejects: tuple[ImportWithRejects, ...] | None


def sign_of(event: DashboardEvent, senders: Senders | None, sending: Iterable[SendingIssue]) -> str:
    """What the page shows that is not a mere figure. The page's script makes the same text of each event (`live.js`);
    if it is another, it takes parts of the page anew.

    It is made of what was shown: other services told the state of sending and of the issues, a moment before or after
    the event.
    """
    parts = (
        "" if senders is None else sending_sign(senders.sending, len(senders.replicas)),
        ",".join(sorted(f"{one.issue.id}={one.issue.status.value}" for one in sending)),
        ",".join(f"{one.issue_id}={one.uncertain}/{one.parked}" for one in event.uncertain or ()),
        ",".join(f"{one.endpoint_id}={int(one.disabled)}" for one in event.failing_webhooks or ()),
        ",".join(f"{one.import_id}={one.status}/{one.rejected}" for one in event.imports_with_rejects or ()),
    )
    return ";".join(parts)


def sending_sign(sending: SendingState, replicas: int) -> str:
    until = "" if sending.back_off_until is None else str(int(sending.back_off_until.timestamp()))
    return f"{sending.state}|{sending.reason or ''}|{until}|{replicas}"


def tasks_of(event: DashboardEvent, titles: dict[int, str], *, sees_imports: bool, zone: str) -> list[Task]:
    """`titles` of issues by id; one that is not known is named by its number. `sees_imports`: may open their pages,
    which are of every newsletter. `zone`: the name of that in which times are told.
    """
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
        since = "" if hook.failing_since is None else f" since {instant_in_words(hook.failing_since, zone)}"
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
            page_path=f"/admin/imports/{file.import_id}" if sees_imports else "",
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
