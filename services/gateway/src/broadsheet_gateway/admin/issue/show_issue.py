"""The page of one issue, put together from what the services answer. A part that one does not answer is missing."""

import asyncio
import secrets
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType

from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.actor_names import names_of
from broadsheet_gateway.admin.first_event import ask_first_event
from broadsheet_gateway.admin.issue.issue_overview import (
    ask_issue,
    ask_senders,
    ask_unsent,
    asked,
    may,
)
from broadsheet_gateway.admin.issue.issue_views import IssueEvent, IssueRow
from broadsheet_gateway.admin.issue.report import AbTestState, IssueReport
from broadsheet_gateway.admin.issue.views import IssuePage, IssueRights, TypedAction
from broadsheet_gateway.admin.newsletter_facts import NewsletterFacts, ask_newsletter
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.service_calls import or_none
from broadsheet_gateway.admin.subscriber_names import ask_names
from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.times import find_zone
from broadsheet_gateway.pages.views import NO_ERRORS, FieldErrors


def rights_for(session: Session, newsletter_id: int) -> IssueRights:
    """Timelines are for those who see the deliveries of every newsletter: one person may get several."""
    return IssueRights(
        write=may(session, "issues:write", newsletter_id),
        publish=may(session, "issues:publish", newsletter_id),
        decide=may(session, "deliveries:decide", newsletter_id),
        deliveries=may(session, "deliveries:read", newsletter_id),
        timelines="deliveries:read" in session.rights.everywhere,
        reports=may(session, "reports:read", newsletter_id),
    )


async def show_issue_page(
    context: PageContext,
    issue_id: int,
    *,
    flashes: tuple[FlashCode, ...] = (),
    typed: TypedAction | None = None,
    errors: FieldErrors = NO_ERRORS,
    form_error: str = "",
) -> IssuePage:
    """Raises `NotFoundError` when there is no such issue, and what the call for it raises."""
    session = context.session
    found = await ask_issue(context.calls, issue_id)
    newsletter, names = await asyncio.gather(
        or_none(ask_newsletter(context.calls, found.newsletter_id)), names_of([found.created_by], context.engine)
    )
    issue = msgspec.structs.replace(found, created_by=names[found.created_by])
    rights = rights_for(session, issue.newsletter_id)
    view = IssuePage(
        signed_in=session.signed_in,
        flashes=flashes,
        issue=issue,
        newsletter_name="" if newsletter is None else newsletter.name,
        may=rights,
        form_key=secrets.token_urlsafe(16),
        typed=typed or TypedAction(),
        errors=errors,
        form_error=form_error,
        page_path=archive_path(issue, newsletter),
        in_archive=is_in_archive(issue, newsletter),
    )
    return await _with_progress(view, context) if issue.was_published else view


async def _with_progress(view: IssuePage, context: PageContext) -> IssuePage:
    issue, calls = view.issue, context.calls
    address = f"/api/v1/issues/{issue.id}"
    is_moving = issue.status.is_moving
    sees_senders = is_moving and "senders:read" in context.session.rights.everywhere
    senders, unsent, report, test, event = await asyncio.gather(
        asked(lambda: ask_senders(calls), wanted=sees_senders),
        asked(lambda: ask_unsent(calls, issue.id, issue.counts), wanted=view.may.deliveries),
        asked(lambda: calls.get("delivery", f"{address}/report", IssueReport), wanted=view.may.reports),
        asked(lambda: calls.get("publishing", f"{address}/ab-test", AbTestState), wanted=issue.ab_test is not None),
        asked(
            lambda: ask_first_event(context.upstreams, context.session, "delivery", f"{address}/events", IssueEvent),
            wanted=is_moving,
        ),
    )
    numbers = () if unsent is UNSET or unsent is None else tuple(row.subscriber_id for row in unsent)
    return msgspec.structs.replace(
        view,
        senders=None if senders is UNSET else senders,
        unsent=unsent,
        names=await ask_names(calls, context.session, numbers, newsletter_id=issue.newsletter_id),
        report=_report_in_its_zone(report),
        test=await _test_with_name(test, context),
        event=None if event is UNSET else event,
    )


def _report_in_its_zone(report: IssueReport | UnsetType | None) -> IssueReport | UnsetType | None:
    """Hours and days of its charts in the time zone that it names, by which it counted them."""
    if report is UNSET or report is None:
        return report
    zone = find_zone(report.time_zone)
    stretches = tuple(
        msgspec.structs.replace(one, begins_at=one.begins_at.astimezone(zone), ends_at=one.ends_at.astimezone(zone))
        for one in report.over_time
    )
    return msgspec.structs.replace(report, over_time=stretches)


async def _test_with_name(test: AbTestState | UnsetType | None, context: PageContext) -> AbTestState | UnsetType | None:
    if test is UNSET or test is None:
        return test
    names = await names_of([test.decided_by] if test.decided_by else [], context.engine)
    return msgspec.structs.replace(test, decided_by=names.get(test.decided_by or "", test.decided_by))


def is_in_archive(issue: IssueRow, newsletter: NewsletterFacts | None) -> bool | None:
    """Whether everybody may read it on the web; None: its newsletter has no archive, or does not answer."""
    if newsletter is None or not newsletter.has_archive:
        return None
    if issue.published_at is not None and issue.slug is None:
        return False  # it was published before there was an archive, and has no address there
    return issue.segment_id is None if issue.in_archive is None else issue.in_archive


def archive_path(issue: IssueRow, newsletter: NewsletterFacts | None) -> str:
    """Where everybody may read it; empty if nobody may."""
    if newsletter is None or not is_in_archive(issue, newsletter) or issue.slug is None:
        return ""
    return f"/newsletters/{quote(newsletter.slug)}/issues/{quote(issue.slug)}"
