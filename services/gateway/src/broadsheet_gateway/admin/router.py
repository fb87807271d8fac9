"""`/admin`: one router, whose every answer needs a session, unknown paths and methods included."""

from typing import Any, cast

import msgspec
from litestar import Router, route
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency, Provide
from litestar.exceptions import MethodNotAllowedException
from litestar.handlers import HTTPRouteHandler
from litestar.types import Method
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.problems import NotFoundError
from broadsheet_gateway.access.page_access import SIGNED_IN, require_page_access
from broadsheet_gateway.accounts.current_session import CurrentSession, Session
from broadsheet_gateway.accounts.password_pages import PASSWORD_HANDLERS
from broadsheet_gateway.accounts.session_form import CURRENT_SESSION
from broadsheet_gateway.admin.attributes.pages import ATTRIBUTE_HANDLERS
from broadsheet_gateway.admin.audit.pages import AUDIT_HANDLERS
from broadsheet_gateway.admin.editor.check_pages import CHECK_HANDLERS
from broadsheet_gateway.admin.editor.pages import EDIT_HANDLERS
from broadsheet_gateway.admin.editor.preview_pages import PREVIEW_HANDLERS
from broadsheet_gateway.admin.editor.revision_pages import REVISION_HANDLERS
from broadsheet_gateway.admin.exports.pages import EXPORT_HANDLERS
from broadsheet_gateway.admin.home.pages import HOME_HANDLERS
from broadsheet_gateway.admin.imports.pages import IMPORT_HANDLERS
from broadsheet_gateway.admin.issue.actions import ISSUE_ACTIONS
from broadsheet_gateway.admin.issue.delivery_pages import DELIVERY_HANDLERS
from broadsheet_gateway.admin.issue.pages import ISSUE_PAGES
from broadsheet_gateway.admin.issues.pages import ISSUE_LIST_HANDLERS
from broadsheet_gateway.admin.keys.pages import KEY_HANDLERS
from broadsheet_gateway.admin.layouts.pages import LAYOUT_HANDLERS
from broadsheet_gateway.admin.newsletters.pages import NEWSLETTER_HANDLERS
from broadsheet_gateway.admin.newsletters.text_pages import NEWSLETTER_TEXT_HANDLERS
from broadsheet_gateway.admin.outgoing_webhooks.pages import WEBHOOK_HANDLERS
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.publish.pages import PUBLISH_HANDLERS
from broadsheet_gateway.admin.quick_publish.pages import QUICK_PUBLISH_HANDLERS
from broadsheet_gateway.admin.segments.pages import SEGMENT_HANDLERS
from broadsheet_gateway.admin.sending.pages import SENDING_HANDLERS
from broadsheet_gateway.admin.service_calls import ServiceCalls
from broadsheet_gateway.admin.subscribers.confirmation_pages import CONFIRMATION_HANDLERS
from broadsheet_gateway.admin.subscribers.pages import SUBSCRIBER_LIST_HANDLERS
from broadsheet_gateway.admin.subscribers.person_pages import PERSON_HANDLERS
from broadsheet_gateway.admin.suppressions.pages import SUPPRESSION_HANDLERS
from broadsheet_gateway.email_change.pages import EMAIL_HANDLERS
from broadsheet_gateway.forwarding.upstreams import Upstreams
from broadsheet_gateway.http.request_origin import RequestOrigin
from broadsheet_gateway.http.responses import AnyRequest, Responder
from broadsheet_gateway.oidc.pages import PROVIDER_LINK_HANDLERS
from broadsheet_gateway.own_sessions.log_out import submit_logout
from broadsheet_gateway.own_sessions.session_pages import OWN_SESSION_HANDLERS
from broadsheet_gateway.passkeys.pages import PASSKEY_HANDLERS
from broadsheet_gateway.people.pages import PEOPLE_HANDLERS
from broadsheet_gateway.people.requirement_pages import REQUIREMENT_HANDLERS
from broadsheet_gateway.second_factor.pages import SECOND_FACTOR_HANDLERS
from broadsheet_gateway.settings import GatewaySettings
from broadsheet_gateway.sign_up.newsletter_directory import NewsletterDirectory

_METHODS: tuple[Method, ...] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


async def _require_session(
    request: ASGIConnection[Any, Any, Any, Any],
    current_session: NamedDependency[CurrentSession],
    request_origin: NamedDependency[RequestOrigin],
    newsletter_directory: NamedDependency[NewsletterDirectory],
) -> Session:
    request.state[CURRENT_SESSION] = current_session
    session = await current_session.require(request)
    require_page_access(request, session.rights, must_set_up_factor=session.must_set_up_factor)
    zones = await newsletter_directory.zones()
    return msgspec.structs.replace(session, address=request_origin.address(request), zones=zones)


def _service_calls(session: NamedDependency[Session], upstreams: NamedDependency[Upstreams]) -> ServiceCalls:
    return ServiceCalls(upstreams, session)


def _page_context(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    calls: NamedDependency[ServiceCalls],
    upstreams: NamedDependency[Upstreams],
    engine: NamedDependency[AsyncEngine],
) -> PageContext:
    return PageContext(request, session, responder, settings, calls, upstreams, engine)


def admin_router() -> Router:
    handlers = [
        *HOME_HANDLERS,
        *ISSUE_LIST_HANDLERS,
        *EDIT_HANDLERS,
        *PREVIEW_HANDLERS,
        *REVISION_HANDLERS,
        *CHECK_HANDLERS,
        *PUBLISH_HANDLERS,
        *ISSUE_PAGES,
        *ISSUE_ACTIONS,
        *DELIVERY_HANDLERS,
        *SENDING_HANDLERS,
        *QUICK_PUBLISH_HANDLERS,
        *SUBSCRIBER_LIST_HANDLERS,
        *PERSON_HANDLERS,
        *CONFIRMATION_HANDLERS,
        *SEGMENT_HANDLERS,
        *ATTRIBUTE_HANDLERS,
        *IMPORT_HANDLERS,
        *EXPORT_HANDLERS,
        *SUPPRESSION_HANDLERS,
        *WEBHOOK_HANDLERS,
        *NEWSLETTER_HANDLERS,
        *NEWSLETTER_TEXT_HANDLERS,
        *LAYOUT_HANDLERS,
        *KEY_HANDLERS,
        *AUDIT_HANDLERS,
        *PASSWORD_HANDLERS,
        submit_logout,
        *OWN_SESSION_HANDLERS,
        *PEOPLE_HANDLERS,
        *REQUIREMENT_HANDLERS,
        *SECOND_FACTOR_HANDLERS,
        *PASSKEY_HANDLERS,
        *EMAIL_HANDLERS,
        *PROVIDER_LINK_HANDLERS,
    ]
    return Router(
        "/admin",
        route_handlers=[*handlers, *_refusals(handlers)],
        dependencies={
            "session": Provide(_require_session),
            "calls": Provide(_service_calls, sync_to_thread=False),
            "context": Provide(_page_context, sync_to_thread=False),
        },
    )


def _refusals(handlers: list[HTTPRouteHandler]) -> list[HTTPRouteHandler]:
    """Routes for every path and method under `/admin` that no handler has.

    Litestar's router would answer them 404 or 405 before the session is checked. It does not go back once it has
    followed a path's first segments, so each of them needs a refusing route for what may follow.
    """
    allowed: dict[str, set[str]] = {}
    for handler in handlers:
        for path in handler.paths:
            allowed.setdefault(path, set()).update(cast("set[str]", handler.http_methods))
    beginnings = {"/".join(path.split("/")[:n]) for path in allowed for n in range(1, path.count("/") + 2)} | {"/"}
    refusals = []
    for beginning in sorted(beginnings - {""}):
        taken = allowed.get(beginning, set())
        refusals.append(_refusal(beginning, [method for method in _METHODS if method not in taken], taken))
        rest = f"{beginning.rstrip('/')}/{{rest:path}}"
        if not any(path.startswith(f"{beginning.rstrip('/')}/{{") for path in beginnings):
            refusals.append(_refusal(rest, list(_METHODS), set()))
    return refusals


def _refusal(path: str, methods: list[Method], allowed: set[str]) -> HTTPRouteHandler:
    @route(path, http_method=methods, include_in_schema=False, opt=SIGNED_IN, name=f"refusal of /admin{path}")
    async def refuse(session: NamedDependency[Session]) -> None:
        del session  # needed, not used
        if allowed:
            raise MethodNotAllowedException(headers={"Allow": ", ".join(sorted(allowed))})
        raise NotFoundError

    return refuse
