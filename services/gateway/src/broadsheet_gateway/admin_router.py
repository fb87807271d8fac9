"""`/admin`: one router, whose every answer needs a session, unknown paths and methods included."""

from typing import Any, cast

from litestar import Router, route
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency, Provide
from litestar.exceptions import MethodNotAllowedException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.types import Method

from broadsheet_common.problems import NotFoundError
from broadsheet_gateway.admin_pages import ADMIN_PAGE_HANDLERS
from broadsheet_gateway.current_session import CurrentSession, Session
from broadsheet_gateway.newsletter_pages import NEWSLETTER_HANDLERS
from broadsheet_gateway.responses import PageResponse, Responder

_METHODS: tuple[Method, ...] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


async def _require_session(
    request: ASGIConnection[Any, Any, Any, Any], current_session: NamedDependency[CurrentSession]
) -> Session:
    return await current_session.require(request)


@route("/", http_method=["GET", "HEAD"], include_in_schema=False)
async def admin_home(session: NamedDependency[Session], responder: NamedDependency[Responder]) -> PageResponse:
    del session  # needed, not used
    return responder.redirect("/admin/dashboard")


@route("/{rest:path}", http_method=list(_METHODS), include_in_schema=False)
async def nothing_here(rest: FromPath[str], session: NamedDependency[Session]) -> None:
    del rest, session  # the session is needed, not used
    raise NotFoundError


def admin_router() -> Router:
    handlers = [*ADMIN_PAGE_HANDLERS, *NEWSLETTER_HANDLERS]
    return Router(
        "/admin",
        route_handlers=[admin_home, nothing_here, *handlers, *_other_methods(handlers)],
        dependencies={"session": Provide(_require_session)},
    )


def _other_methods(handlers: list[HTTPRouteHandler]) -> list[HTTPRouteHandler]:
    """For each path the methods that it has not: the router would answer them 405 before anybody asks for a session."""
    taken: dict[str, set[str]] = {}
    for handler in handlers:
        for path in handler.paths:
            taken.setdefault(path, set()).update(cast("set[str]", handler.http_methods))
    return [_refusal(path, methods) for path, methods in taken.items()]


def _refusal(path: str, allowed: set[str]) -> HTTPRouteHandler:
    methods = [method for method in _METHODS if method not in allowed]
    name = path.strip("/").replace("/", "_").replace("{", "").replace("}", "").replace(":", "_")

    @route(path, http_method=methods, include_in_schema=False, name=f"other_methods_{name}")
    async def other_methods(session: NamedDependency[Session]) -> None:
        del session  # needed, not used
        raise MethodNotAllowedException(headers={"Allow": ", ".join(sorted(allowed))})

    return other_methods
