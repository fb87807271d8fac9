"""What the home page asks of the services. Each part is asked by itself, so that one that is away takes no other."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Final, Literal

import msgspec

from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.charts import Point, TimeChart
from broadsheet_gateway.admin.home.views import Growth, IssueFigures, Task
from broadsheet_gateway.admin.issue.issue_overview import may
from broadsheet_gateway.admin.issue.issue_views import IssueRow, IssueStatus
from broadsheet_gateway.admin.newsletter_facts import NewsletterFacts
from broadsheet_gateway.admin.service_calls import ServiceCalls, or_none

NEWSLETTERS_SHOWN: Final = 50
DRAFTS_ASKED_MAX: Final = 10
"""Drafts of which the approval is asked: a call each."""


class DayOfGrowth(msgspec.Struct, frozen=True):
    day: date
    joined: int
    left: int
    subscribers: int


class GrowthReport(msgspec.Struct, frozen=True):
    subscribers_at_end: int
    joined: int
    left: int
    time_zone: str
    days: tuple[DayOfGrowth, ...]


class NewsletterEngagement(msgspec.Struct, frozen=True):
    """The last ten issues of a newsletter."""

    issues: tuple[IssueFigures, ...]


class Approval(msgspec.Struct, frozen=True):
    state: Literal["none", "requested", "approved", "refused", "void"]
    requested_at: datetime | None = None


async def ask_growth(calls: ServiceCalls, newsletter: NewsletterFacts) -> Growth:
    report = await calls.get("subscriptions", f"/api/v1/newsletters/{newsletter.id}/report", GrowthReport)
    days = report.days
    return Growth(
        newsletter_name=newsletter.name,
        subscribers=report.subscribers_at_end,
        joined=report.joined,
        left=report.left,
        columns=TimeChart(
            title=f"Joined and left by day ({report.time_zone})",
            series=("Joined", "Left"),
            points=tuple(Point(f"{day.day:%-d %b %Y}", (day.joined, day.left)) for day in days),
        ),
        line=TimeChart(
            title=f"Subscribers at the end of each day ({report.time_zone})",
            series=("Subscribers",),
            points=tuple(Point(f"{day.day:%-d %b %Y}", (day.subscribers,)) for day in days),
            is_line=True,
        ),
    )


async def ask_figures(
    calls: ServiceCalls, session: Session, newsletter_ids: Iterable[int]
) -> Mapping[int, Mapping[int, IssueFigures] | None]:
    """Of each newsletter whose reports the user may see, the figures by issue; None: it was not answered."""
    wanted = [one for one in sorted(set(newsletter_ids)) if may(session, "reports:read", one)]
    answers = await asyncio.gather(
        *(
            or_none(calls.get("delivery", f"/api/v1/newsletters/{one}/engagement", NewsletterEngagement))
            for one in wanted
        )
    )
    return {
        one: None if answer is None else {figures.issue_id: figures for figures in answer.issues}
        for one, answer in zip(wanted, answers, strict=True)
    }


async def ask_approvals(
    calls: ServiceCalls, session: Session, issues: Iterable[IssueRow], newsletters: Iterable[NewsletterFacts]
) -> tuple[list[Task], bool]:
    """Drafts that wait for this user's approval, and whether all of them could be asked."""
    needing = {one.id for one in newsletters if one.requires_approval}
    drafts = [
        issue
        for issue in issues
        if issue.status is IssueStatus.DRAFT
        and issue.newsletter_id in needing
        and may(session, "issues:approve", issue.newsletter_id)
    ][:DRAFTS_ASKED_MAX]
    answers = await asyncio.gather(
        *(or_none(calls.get("publishing", f"/api/v1/issues/{draft.id}/approval", Approval)) for draft in drafts)
    )
    tasks = [
        Task(
            kind="approval",
            text=f"“{draft.title or 'Untitled'}” waits for approval.",
            page_path=f"/admin/issues/{draft.id}/edit",
            link="Read it",
        )
        for draft, answer in zip(drafts, answers, strict=True)
        if answer is not None and answer.state == "requested"
    ]
    return tasks, None not in answers


_LACKS: Final = {"from_email": "the sender's address", "postal_address": "a postal address"}


def unready_tasks(newsletters: Iterable[NewsletterFacts], session: Session) -> list[Task]:
    return [
        Task(
            kind="newsletter",
            text=f"{one.name} cannot be sent yet{_what_lacks(one.missing)}.",
            page_path=settings_path(one, session),
            link="Open its settings",
        )
        for one in newsletters
        if not one.is_ready
    ]


def _what_lacks(missing: tuple[str, ...]) -> str:
    return f": it lacks {' and '.join(_LACKS.get(name, name) for name in missing)}" if missing else ""


def settings_path(newsletter: NewsletterFacts, session: Session) -> str:
    """Of the newsletter's settings; empty for those who may not change them."""
    is_open = may(session, "newsletters:write", newsletter.id)
    return f"/admin/settings/newsletters/{newsletter.id}" if is_open else ""
