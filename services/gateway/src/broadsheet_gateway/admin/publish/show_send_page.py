"""What the page that sends an issue needs, asked of the services at once."""

import asyncio
from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.problems import ProblemError
from broadsheet_gateway.accounts.interface import find_user
from broadsheet_gateway.admin.actor_names import names_of
from broadsheet_gateway.admin.editor.check_pages import Checks, ask_checks
from broadsheet_gateway.admin.editor.draft import Draft
from broadsheet_gateway.admin.editor.views import Finding
from broadsheet_gateway.admin.form_keys import new_form_key
from broadsheet_gateway.admin.issue.issue_overview import ask_senders, asked
from broadsheet_gateway.admin.issue.issue_views import IssueStatus
from broadsheet_gateway.admin.newsletter_facts import ask_newsletter
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.publish.views import Approval, Audience, SendPage, TypedSchedule, Wave
from broadsheet_gateway.admin.service_calls import ServiceCalls, or_none, refusal_sentence
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError
from broadsheet_gateway.pages import FlashCode


class IssueToSend(Draft, frozen=True, kw_only=True):
    """The API's Issue with its schedule."""

    scheduled_at: datetime | None = None
    scheduled_local: datetime | None = None
    scheduled_time_zone: str | None = None
    in_reader_time_zone: bool = False


class _Waves(msgspec.Struct, frozen=True):
    waves: tuple[Wave, ...] = ()


class _Segment(msgspec.Struct, frozen=True):
    name: str


async def show_send_page(context: PageContext, issue_id: int, *, flashes: tuple[FlashCode, ...] = ()) -> SendPage:
    """Raises as `ServiceCalls.get` if the issue itself is not to be had."""
    calls, session = context.calls, context.session
    issue = await calls.get("publishing", f"/api/v1/issues/{issue_id}", IssueToSend)
    may = session.rights.anywhere
    # In two: the types of one are known for six at most.
    (newsletter, checks, (audience, refusal), approval, segment, waves), (senders, own_address) = await asyncio.gather(
        asyncio.gather(
            or_none(ask_newsletter(calls, issue.newsletter_id)),
            or_none(ask_checks(calls, issue_id)) if "issues:preview" in may else _nothing(),
            _ask_audience(calls, issue) if "issues:preview" in may else _no_audience(),
            or_none(calls.get("publishing", f"/api/v1/issues/{issue_id}/approval", Approval)),
            _ask_segment(calls, issue),
            _ask_waves(calls, issue),
        ),
        asyncio.gather(
            asked(lambda: ask_senders(calls), wanted="senders:read" in session.rights.everywhere),
            _own_address(context.engine, session.user_id),
        ),
    )
    who = [] if approval is None else [one for one in (approval.requested_by, approval.decided_by) if one]
    names = await names_of(who, context.engine)
    return SendPage(
        signed_in=session.signed_in,
        flashes=flashes,
        issue_id=issue.id,
        title=issue.title,
        subject=issue.mail_subject,
        status=issue.status,
        status_reason=issue.status_reason,
        version=issue.version,
        newsletter=newsletter,
        has_segment=issue.segment_id is not None,
        segment_name=segment,
        has_ab_test=issue.ab_test is not None,
        blocking=_blocking(checks),
        warnings=0 if checks is None else sum(one.severity == "warns" for one in checks.findings),
        audience=audience,
        audience_refusal=refusal,
        approval=_named(approval, names),
        is_ones_own_request=approval is not None and approval.requested_by == session.identity.subject,
        waves=waves,
        scheduled_at=issue.scheduled_at,
        scheduled_local=issue.scheduled_local,
        scheduled_time_zone=issue.scheduled_time_zone,
        in_reader_time_zone=issue.in_reader_time_zone,
        send_key=new_form_key(),
        test_key=new_form_key(),
        held_up="" if senders is UNSET or senders is None else senders.held_up,
        typed_to=own_address,
        has_own_address=bool(own_address),
        inbox_url=context.settings.sandbox_inbox_url or "",
        typed=TypedSchedule(time_zone=newsletter.time_zone if newsletter is not None else "UTC"),
        may_publish="issues:publish" in may,
        may_approve="issues:approve" in may,
        may_test="issues:test" in may,
    )


def _blocking(checks: Checks | None) -> tuple[Finding, ...] | None:
    return None if checks is None else tuple(one for one in checks.findings if one.severity == "blocks")


def _named(approval: Approval | None, names: Mapping[str, str]) -> Approval | None:
    if approval is None:
        return None
    return msgspec.structs.replace(
        approval,
        requested_by=names.get(approval.requested_by or "", approval.requested_by),
        decided_by=names.get(approval.decided_by or "", approval.decided_by),
    )


async def _ask_audience(calls: ServiceCalls, issue: IssueToSend) -> tuple[Audience | None, str]:
    """With why it is not to be had."""
    if issue.status not in {IssueStatus.DRAFT, IssueStatus.SCHEDULED}:
        return None, ""
    try:
        found = await calls.send("publishing", "POST", f"/api/v1/issues/{issue.id}/audience", Audience, body={})
    except (ProblemError, UpstreamRefusalError) as error:
        return None, refusal_sentence(error)
    return found, ""


async def _no_audience() -> tuple[Audience | None, str]:
    return None, ""


async def _own_address(engine: AsyncEngine, user_id: int) -> str:
    """Of the user: a test mail may go there. Empty: there is none."""
    async with engine.connect() as connection:
        user = await find_user(connection, user_id)
    return "" if user is None else user.email or ""


async def _nothing() -> None:
    return None


async def _ask_segment(calls: ServiceCalls, issue: IssueToSend) -> str | None:
    if issue.segment_id is None:
        return None
    found = await or_none(calls.get("subscriptions", f"/api/v1/segments/{issue.segment_id}", _Segment))
    return None if found is None else found.name


async def _ask_waves(calls: ServiceCalls, issue: IssueToSend) -> tuple[Wave, ...]:
    if not issue.in_reader_time_zone:
        return ()
    found = await or_none(calls.get("publishing", f"/api/v1/issues/{issue.id}/waves", _Waves))
    return () if found is None else found.waves
