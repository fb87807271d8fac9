"""`/admin/issues/{id}`: one issue, and how far it is sent."""

import asyncio

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.issue.issue_overview import ask_issue, ask_senders, ask_unsent, with_author_name
from broadsheet_gateway.admin.issue.issue_views import IssueProgress, progress_of
from broadsheet_gateway.admin.issue.views import IssuePage
from broadsheet_gateway.admin.service_calls import ServiceCalls, or_none, parse_id
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder


@get("/issues/{issue_id:str}", include_in_schema=False, opt=needs("issues:read"))
async def show_issue(
    request: AnyRequest,
    issue_id: FromPath[str],
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    calls: NamedDependency[ServiceCalls],
    engine: NamedDependency[AsyncEngine],
) -> PageResponse:
    issue = await with_author_name(await ask_issue(calls, parse_id(issue_id)), engine)
    view = IssuePage(signed_in=session.signed_in, flashes=responder.flashes(request), issue=issue)
    if issue.status.has_progress:
        senders, unsent = await asyncio.gather(
            or_none(ask_senders(calls)), or_none(ask_unsent(calls, issue.id, issue.counts))
        )
        view = msgspec.structs.replace(view, senders=senders, unsent=unsent)
    return responder.page(view)


@get("/issues/{issue_id:str}/progress", include_in_schema=False, opt=needs("issues:read"))
async def show_progress(issue_id: FromPath[str], calls: NamedDependency[ServiceCalls]) -> IssueProgress:
    """JSON, requested every second by pages that show an issue in progress."""
    return progress_of(await ask_issue(calls, parse_id(issue_id)))


ISSUE_HANDLERS: tuple[HTTPRouteHandler, ...] = (show_issue, show_progress)
