"""`/admin` and `/admin/dashboard`: what is going on, and what waits for somebody."""

from litestar import get, route
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler

from broadsheet_gateway.access.page_access import SIGNED_IN
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.home.show_home import show_home
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.http.responses import PageResponse, Responder


@route("/", http_method=["GET", "HEAD"], include_in_schema=False, opt=SIGNED_IN)
async def admin_home(session: NamedDependency[Session], responder: NamedDependency[Responder]) -> PageResponse:
    del session  # needed, not used
    return responder.redirect("/admin/dashboard")


@get("/dashboard", include_in_schema=False, opt=SIGNED_IN)
async def show_dashboard(
    context: NamedDependency[PageContext],
) -> PageResponse:
    return context.responder.page(
        await show_home(
            context.session,
            context.calls,
            context.upstreams,
            newsletter_id=context.request.query_params.get("newsletter"),
            flashes=context.flashes,
        )
    )


HOME_HANDLERS: tuple[HTTPRouteHandler, ...] = (admin_home, show_dashboard)
