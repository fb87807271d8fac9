"""`/admin/issues/{id}`: one issue, how far it is sent, and what became of it; its recipients and its history."""

import asyncio
from typing import Final, get_args

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import UNSET, UnsetType

from broadsheet_common.http.pagination import Page
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.admin.actor_names import names_of
from broadsheet_gateway.admin.issue.issue_overview import ask_issue
from broadsheet_gateway.admin.issue.show_issue import rights_for, show_issue_page
from broadsheet_gateway.admin.issue.views import (
    DecisionRow,
    DeliveryRow,
    IssueHistoryPage,
    IssueRecipientsPage,
    Outcome,
    StepRow,
)
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.service_calls import Query, ServiceCalls, or_none, parse_id
from broadsheet_gateway.admin.subscriber_names import (
    ADDRESS_CHARS_MAX,
    FOUND_MAX,
    NamedSubscriber,
    SubscriberNames,
    ask_names,
    find_subscribers,
    may_read_subscribers,
)
from broadsheet_gateway.http.responses import PageResponse

RECIPIENTS_SHOWN: Final = 50
STEPS_SHOWN: Final = 50
_OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)


@get("/issues/{issue_id:str}", include_in_schema=False, opt=needs("issues:read"))
async def show_issue(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    return context.responder.page(await show_issue_page(context, parse_id(issue_id), flashes=context.flashes))


@get("/issues/{issue_id:str}/recipients", include_in_schema=False, opt=needs("issues:read", "deliveries:read"))
async def show_recipients(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    """A status that there is not is left out, as if nothing had been chosen."""
    issue = await ask_issue(context.calls, parse_id(issue_id))
    query = context.request.query_params
    status = next((one for one in _OUTCOMES if one == query.get("status")), None)
    cursor = query.get("cursor")
    may_search = may_read_subscribers(context.session, issue.newsletter_id)
    text = query.get("q", "").strip()[:ADDRESS_CHARS_MAX] if may_search else ""
    people = await or_none(find_subscribers(context.calls, issue.newsletter_id, text))
    page = await _deliveries(context.calls, issue.id, status, cursor, people if text else None)
    rows = None if page is None else tuple(page.items)
    shown = [row.subscriber_id for row in rows or ()]
    names = (
        SubscriberNames.of_found(people)
        if people
        else await ask_names(context.calls, context.session, shown, newsletter_id=issue.newsletter_id)
    )
    return context.responder.page(
        IssueRecipientsPage(
            signed_in=context.session.signed_in,
            flashes=context.flashes,
            issue=issue,
            may=rights_for(context.session, issue.newsletter_id),
            status=status,
            rows=rows,
            names=names,
            may_search=may_search,
            q=text,
            search_is_cut=people is not None and len(people) == FOUND_MAX,
            search_failed=people is None,
            next_cursor=None if page is None else page.next_cursor,
            is_first_page=not cursor,
        )
    )


async def _deliveries(
    calls: ServiceCalls,
    issue_id: int,
    status: Outcome | None,
    cursor: str | None,
    people: tuple[NamedSubscriber, ...] | None,
) -> Page[DeliveryRow] | None:
    """`people`: only those to them; None: to everybody. None: delivery does not answer."""
    if people == ():
        return Page([], None)
    wanted: Query = {
        "status": status,
        "limit": RECIPIENTS_SHOWN,
        "cursor": cursor,
        "subscriber_id": None if people is None else [one.id for one in people],
    }
    return await or_none(calls.get("delivery", f"/api/v1/issues/{issue_id}/deliveries", Page[DeliveryRow], wanted))


@get("/issues/{issue_id:str}/history", include_in_schema=False, opt=needs("issues:read"))
async def show_history(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    issue = await ask_issue(context.calls, parse_id(issue_id))
    rights = rights_for(context.session, issue.newsletter_id)
    asked = {name: context.request.query_params.get(name) for name in ("steps", "decisions")}
    steps, decisions = await asyncio.gather(
        or_none(
            context.calls.get(
                "publishing",
                f"/api/v1/issues/{issue.id}/history",
                Page[StepRow],
                {"limit": STEPS_SHOWN, "cursor": asked["steps"]},
            )
        ),
        _decisions(
            context.calls, issue.id, cursor=asked["decisions"], wanted=rights.deliveries and issue.was_published
        ),
    )
    shown_steps = () if steps is None else steps.items
    shown_decisions = () if decisions is None or decisions is UNSET else decisions.items
    names = await names_of(
        [*(step.actor for step in shown_steps), *(one.decided_by for one in shown_decisions)], context.engine
    )
    return context.responder.page(
        IssueHistoryPage(
            signed_in=context.session.signed_in,
            flashes=context.flashes,
            issue=issue,
            may=rights,
            steps=None
            if steps is None
            else tuple(msgspec.structs.replace(step, actor=names[step.actor]) for step in shown_steps),
            steps_cursor=None if steps is None else steps.next_cursor,
            decisions=decisions
            if decisions is None or decisions is UNSET
            else tuple(msgspec.structs.replace(one, decided_by=names[one.decided_by]) for one in shown_decisions),
            decisions_cursor=None if decisions is None or decisions is UNSET else decisions.next_cursor,
            is_first_page=not any(asked.values()),
        )
    )


async def _decisions(
    calls: ServiceCalls, issue_id: int, *, cursor: str | None, wanted: bool
) -> Page[DecisionRow] | UnsetType | None:
    if not wanted:
        return UNSET
    path = f"/api/v1/issues/{issue_id}/decisions"
    return await or_none(calls.get("delivery", path, Page[DecisionRow], {"limit": STEPS_SHOWN, "cursor": cursor}))


ISSUE_PAGES: tuple[HTTPRouteHandler, ...] = (show_issue, show_recipients, show_history)
