"""`/admin` and `/admin/dashboard`: what is going on, and what waits for somebody."""

import asyncio

from litestar import get, route
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler

from broadsheet_gateway.access.page_access import SIGNED_IN
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.home.views import DashboardPage
from broadsheet_gateway.admin.issue.issue_overview import ask_issues, ask_senders
from broadsheet_gateway.admin.service_calls import ServiceCalls, or_none
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder


@route("/", http_method=["GET", "HEAD"], include_in_schema=False, opt=SIGNED_IN)
async def admin_home(session: NamedDependency[Session], responder: NamedDependency[Responder]) -> PageResponse:
    del session  # needed, not used
    return responder.redirect("/admin/dashboard")


@get("/dashboard", include_in_schema=False, opt=SIGNED_IN)
async def show_dashboard(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    calls: NamedDependency[ServiceCalls],
) -> PageResponse:
    cursor = request.query_params.get("cursor")
    issues, senders = await asyncio.gather(or_none(ask_issues(calls, cursor=cursor)), or_none(ask_senders(calls)))
    return responder.page(
        DashboardPage(
            signed_in=session.signed_in,
            flashes=responder.flashes(request),
            issues=None if issues is None else tuple(issues.items),
            older_cursor=None if issues is None else issues.next_cursor,
            is_first_page=not cursor,
            senders=senders,
        )
    )


HOME_HANDLERS: tuple[HTTPRouteHandler, ...] = (admin_home, show_dashboard)
