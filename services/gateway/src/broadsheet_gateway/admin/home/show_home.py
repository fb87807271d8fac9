"""The home page, put together from what the services answer."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import UNSET, UnsetType

from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.first_event import ask_first_event
from broadsheet_gateway.admin.home.ask_home import (
    ask_approvals,
    ask_figures,
    ask_growth,
    settings_path,
    unready_tasks,
)
from broadsheet_gateway.admin.home.events import DashboardEvent, sign_of, tasks_of
from broadsheet_gateway.admin.home.views import (
    DashboardPage,
    FirstStep,
    Growth,
    IssueFigures,
    LatestIssue,
    SendingIssue,
    Task,
)
from broadsheet_gateway.admin.issue.issue_overview import ask_issues, ask_senders, asked, may
from broadsheet_gateway.admin.issue.issue_views import IssueEvent, IssueRow
from broadsheet_gateway.admin.issue.views import Senders
from broadsheet_gateway.admin.newsletter_facts import NewsletterFacts, ask_newsletters
from broadsheet_gateway.admin.service_calls import ServiceCalls, or_none
from broadsheet_gateway.forwarding.upstreams import Upstreams
from broadsheet_gateway.pages.flashes import FlashCode

LATEST_SHOWN: Final = 6
UNPUBLISHED_SHOWN: Final = 5
_UNKNOWN: Final = datetime.min.replace(tzinfo=UTC)
"""When an issue was written that only an event names. It is in progress, and such a row does not show it."""

Figures = Mapping[int, Mapping[int, IssueFigures] | None]


async def show_home(
    session: Session,
    calls: ServiceCalls,
    upstreams: Upstreams,
    *,
    newsletter_id: str | None = None,
    flashes: tuple[FlashCode, ...] = (),
) -> DashboardPage:
    """`newsletter_id`: whose growth is shown; the default newsletter's unless it is one that the user may see."""
    if not session.rights.anywhere:
        return DashboardPage(signed_in=session.signed_in, flashes=flashes, sending=())
    reads = "issues:read" in session.rights.anywhere
    issues, newsletters, senders, event = await asyncio.gather(
        asked(lambda: ask_issues(calls), wanted=reads),
        or_none(ask_newsletters(calls)),
        asked(lambda: ask_senders(calls), wanted="senders:read" in session.rights.everywhere),
        asked(lambda: ask_first_event(upstreams, session, "delivery", "/api/v1/events", DashboardEvent), wanted=reads),
    )
    known = newsletters or ()
    rows = [] if issues is UNSET or issues is None else issues.items
    published = [row for row in rows if row.was_published and not row.status.is_moving][:LATEST_SHOWN]
    chosen = _chosen(known, newsletter_id)
    figures, growth, (approvals, all_asked) = await asyncio.gather(
        ask_figures(calls, session, [row.newsletter_id for row in published]),
        _growth(calls, session, chosen),
        ask_approvals(calls, session, rows, known),
    )
    happened = None if event is UNSET or event is None else event
    shown = _sending(rows, happened)
    sees_imports = "imports:read" in session.rights.everywhere
    return DashboardPage(
        signed_in=session.signed_in,
        flashes=flashes,
        senders=senders,
        sending=None if issues is None else shown,
        latest=tuple(_latest(row, figures) for row in published),
        unpublished=tuple(row for row in rows if not row.was_published)[:UNPUBLISHED_SHOWN],
        tasks=(
            *_sending_tasks(senders),
            *(
                ()
                if happened is None
                else tasks_of(
                    happened,
                    {row.id: row.title for row in rows},
                    sees_imports=sees_imports,
                    zone=session.zones.installation,
                )
            ),
            *approvals,
            *unready_tasks(known, session),
        ),
        silent=_silent(
            (_told_by_stream(session), event is None),
            ("newsletters", newsletters is None),
            ("approvals", not all_asked or issues is None),
        ),
        growth=growth,
        newsletters=tuple(one for one in known if may(session, "reports:read", one.id)),
        newsletter_id=0 if chosen is None else chosen.id,
        first_steps=_first_steps(session, rows, known, growth) if issues is not UNSET and issues is not None else (),
        sign="" if happened is None else sign_of(happened, None if senders is UNSET else senders, shown),
    )


def _chosen(newsletters: Sequence[NewsletterFacts], newsletter_id: str | None) -> NewsletterFacts | None:
    asked_for = next((one for one in newsletters if str(one.id) == newsletter_id), None)
    default = next((one for one in newsletters if one.is_default), None)
    return asked_for or default or next(iter(newsletters), None)


async def _growth(
    calls: ServiceCalls, session: Session, newsletter: NewsletterFacts | None
) -> Growth | UnsetType | None:
    if newsletter is None or not may(session, "reports:read", newsletter.id):
        return UNSET
    return await or_none(ask_growth(calls, newsletter))


def _sending(rows: Sequence[IssueRow], event: DashboardEvent | None) -> tuple[SendingIssue, ...]:
    """Those in progress: of the newest issues, and older ones that only the event names."""
    by_id = {one.issue_id: one for one in event.issues} if event is not None else {}
    shown = [
        SendingIssue(
            issue=row,
            settled_per_s=by_id[row.id].settled_per_s if row.id in by_id else None,
            seconds_left=by_id[row.id].seconds_left if row.id in by_id else None,
        )
        for row in rows
        if row.status.is_moving
    ]
    listed = {row.id for row in rows}
    older = [_older(one) for one in by_id.values() if one.issue_id not in listed]
    return (*shown, *older)


def _older(event: IssueEvent) -> SendingIssue:
    row = IssueRow(
        id=event.issue_id,
        newsletter_id=event.newsletter_id,
        title=event.title,
        status=event.status,
        status_reason=event.status_reason,
        counts=event.counts,
        created_at=_UNKNOWN,
        parked=event.parked,
    )
    return SendingIssue(issue=row, settled_per_s=event.settled_per_s, seconds_left=event.seconds_left)


def _latest(row: IssueRow, figures: Figures) -> LatestIssue:
    """Without a figure yet where the report does not have the issue: it has the last ten."""
    if row.newsletter_id not in figures:
        return LatestIssue(issue=row)
    of_newsletter = figures[row.newsletter_id]
    return LatestIssue(issue=row, figures=None if of_newsletter is None else of_newsletter.get(row.id, UNSET))


def _sending_tasks(senders: Senders | UnsetType | None) -> list[Task]:
    if senders is UNSET or senders is None or not senders.held_up:
        return []
    return [Task(kind="sending", text=senders.held_up, page_path="/admin/sending", link="Look at sending")]


def _silent(*parts: tuple[str, bool]) -> tuple[str, ...]:
    return tuple(name for name, is_silent in parts if name and is_silent)


def _told_by_stream(session: Session) -> str:
    """What the user would be told of; empty if it is nothing."""
    parts = (("deliveries:read", "deliveries"), ("webhooks:read", "webhooks"), ("imports:read", "imports"))
    return ", ".join(name for needed, name in parts if needed in session.rights.anywhere)


def _first_steps(
    session: Session,
    rows: Sequence[IssueRow],
    newsletters: Sequence[NewsletterFacts],
    growth: Growth | UnsetType | None,
) -> tuple[FirstStep, ...]:
    """For an installation that has published nothing yet."""
    if any(row.was_published for row in rows) or not newsletters:
        return ()
    first = _chosen(newsletters, None) or newsletters[0]
    has_subscribers = isinstance(growth, Growth) and growth.subscribers > 0
    may_write = may(session, "issues:write", first.id) and may(session, "issues:publish", first.id)
    may_import = "imports:write" in session.rights.everywhere
    return (
        FirstStep(text="Say who the mails come from", page_path=settings_path(first, session), is_done=first.is_ready),
        FirstStep(
            text="Import your subscribers",
            page_path="/admin/imports/new" if may_import else "",
            is_done=has_subscribers,
        ),
        FirstStep(
            text="Share the page where people sign up", page_path=f"/newsletters/{first.slug}", is_done=has_subscribers
        ),
        FirstStep(text="Write an issue", page_path="/admin/issues" if may_write else "", is_done=bool(rows)),
    )
