"""`/login/provider`: to the provider and back; `/admin/account/provider`: link one's user, or end that.

Signing in begins with a link, linking with a form that carries its session's token: else another site could have a
visitor's user linked to an account of its own choice.
"""

from typing import Final, assert_never

import structlog
from litestar import get, post, route
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.problems import NotFoundError
from broadsheet_gateway.access.page_access import SIGNED_IN
from broadsheet_gateway.accounts.current_session import CurrentSession, Session
from broadsheet_gateway.accounts.note_sign_in import SignInNotes
from broadsheet_gateway.accounts.session_form import read_session_form
from broadsheet_gateway.accounts.sessions import Sessions, session_handle
from broadsheet_gateway.http.cookies import CookieJar
from broadsheet_gateway.http.request_origin import RequestOrigin
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder
from broadsheet_gateway.limits.limiter import Charge, Limiter
from broadsheet_gateway.oidc.change_link import (
    LastOwner,
    Linked,
    LinkedBefore,
    LinkTaken,
    NoOtherWayIn,
    NotLinked,
    Unlinked,
    link_provider,
    read_link,
    unlink_provider,
)
from broadsheet_gateway.oidc.configuration import CALLBACK_PATH
from broadsheet_gateway.oidc.faults import ProviderFault
from broadsheet_gateway.oidc.id_token import ProviderIdentity
from broadsheet_gateway.oidc.provider import Provider, ProviderDoor
from broadsheet_gateway.oidc.sign_in import NobodyHere, sign_in_by_provider
from broadsheet_gateway.oidc.visits import LIFETIME_S, Visit, Visits, new_visit
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.pages.provider_views import ProviderLinkPage, ProviderRefusalPage, RefusalReason, ToProviderPage
from broadsheet_gateway.settings import GatewaySettings, RateLimits
from broadsheet_gateway.sign_in.admission import Admission
from broadsheet_gateway.sign_in.answer import answer_admitted, visit_of

BEGIN_PATH: Final = "/login/provider"
LINK_PATH: Final = "/admin/account/provider"
_CODE_CHARS_MAX: Final = 4096

_log = structlog.get_logger()


def require_provider(door: ProviderDoor) -> Provider:
    """Raises NotFoundError: none is set."""
    if door.provider is None:
        raise NotFoundError
    return door.provider


@route(BEGIN_PATH, http_method=["GET"], include_in_schema=False)
async def begin_sign_in(
    request: AnyRequest,
    responder: NamedDependency[Responder],
    limits: NamedDependency[RateLimits],
    limiter: NamedDependency[Limiter],
    request_origin: NamedDependency[RequestOrigin],
    provider_door: NamedDependency[ProviderDoor],
    provider_visits: NamedDependency[Visits],
    jar: NamedDependency[CookieJar],
) -> PageResponse:
    provider = require_provider(provider_door)
    await _count(request, limiter, request_origin, limits)
    try:
        token, address = await _begin(provider, provider_visits, new_visit())
    except ProviderFault as fault:
        return _refusal(responder, provider, fault)
    return responder.redirect(address, cookies=[jar.provider_visit(token, lifetime_s=LIFETIME_S)])


@route(CALLBACK_PATH, http_method=["GET"], include_in_schema=False)
async def come_back(
    request: AnyRequest,
    responder: NamedDependency[Responder],
    limits: NamedDependency[RateLimits],
    limiter: NamedDependency[Limiter],
    request_origin: NamedDependency[RequestOrigin],
    engine: NamedDependency[AsyncEngine],
    sessions: NamedDependency[Sessions],
    current_session: NamedDependency[CurrentSession],
    admission: NamedDependency[Admission],
    sign_in_notes: NamedDependency[SignInNotes],
    provider_door: NamedDependency[ProviderDoor],
    provider_visits: NamedDependency[Visits],
    jar: NamedDependency[CookieJar],
) -> PageResponse:
    """The provider sends the browser here (RFC 6749, 4.1.2). Nothing of the query is believed before the visit that it
    belongs to is found, which happens once.
    """
    provider = require_provider(provider_door)
    await _count(request, limiter, request_origin, limits)
    visit = await provider_visits.take(request.cookies.get(jar.provider_visit_name), _one(request, "state"))
    if visit is None:
        return responder.redirect("/login", flash=FlashCode.SIGN_IN_OVER)
    try:
        identity, now_s = await _identify(request, provider, visit)
    except ProviderFault as fault:
        address = request_origin.address(request)
        _log.warning("security.login_refused", user_id=None, reason=fault.reason, method="oidc")
        await sign_in_notes.refused(None, address=address, method="oidc", reason=fault.reason)
        return _refusal(responder, provider, fault)
    if visit.links_session is not None:
        session = await current_session.find(request.cookies)
        if session is None or session_handle(session.id) != visit.links_session:
            return responder.redirect("/login", flash=FlashCode.SIGN_IN_OVER)
        return await _answer_link(session, identity, provider, responder, engine)
    result = await sign_in_by_provider(
        identity,
        now_s=now_s,
        configuration=provider.configuration,
        visit=visit_of(request, request_origin, jar),
        admission=admission,
        notes=sign_in_notes,
        engine=engine,
    )
    if isinstance(result, NobodyHere):
        reason: RefusalReason = "no_group" if result.lacks_group else "not_linked"
        return responder.page(ProviderRefusalPage(name=provider.configuration.name, reason=reason), status=403)
    return answer_admitted(result, responder=responder, jar=jar, lifetime_s=sessions.lifetime_s)


async def _answer_link(
    session: Session, identity: ProviderIdentity, provider: Provider, responder: Responder, engine: AsyncEngine
) -> PageResponse:
    result = await link_provider(session, identity, configuration=provider.configuration, engine=engine)
    match result:
        case Linked():
            return responder.redirect(LINK_PATH, flash=FlashCode.PROVIDER_LINKED)
        case LinkedBefore():
            return responder.redirect(LINK_PATH)
        case LinkTaken():
            return responder.redirect(LINK_PATH, flash=FlashCode.PROVIDER_ACCOUNT_TAKEN)
        case _:
            assert_never(result)


@get("/account/provider", include_in_schema=False, opt=SIGNED_IN)
async def show_link(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    engine: NamedDependency[AsyncEngine],
    provider_door: NamedDependency[ProviderDoor],
) -> PageResponse:
    provider = require_provider(provider_door)
    link = await read_link(session.user_id, configuration=provider.configuration, engine=engine)
    return responder.page(
        ProviderLinkPage(
            signed_in=session.signed_in,
            flashes=responder.flashes(request),
            name=provider.configuration.name,
            linked_at=None if link is None else link.linked_at,
            roles=() if link is None else tuple(sorted(grant.text for grant in link.mapped)),
            is_recent=session.is_recent,
        )
    )


@post("/account/provider/link", include_in_schema=False, opt=SIGNED_IN)
async def submit_link(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    provider_door: NamedDependency[ProviderDoor],
    provider_visits: NamedDependency[Visits],
    jar: NamedDependency[CookieJar],
) -> PageResponse:
    """Answers a page that goes on by itself: browsers hold the redirect of a form to the policy's `form-action`."""
    provider = require_provider(provider_door)
    await read_session_form(request, session, settings)
    if not session.is_recent:
        return responder.ask_for_proof(LINK_PATH)
    try:
        token, address = await _begin(provider, provider_visits, new_visit(session_handle(session.id)))
    except ProviderFault as fault:
        return _refusal(responder, provider, fault)
    view = ToProviderPage(signed_in=session.signed_in, name=provider.configuration.name, address=address)
    page = responder.page(view, headers={"Refresh": f"0; url={address}"})
    page.set_cookie(jar.provider_visit(token, lifetime_s=LIFETIME_S))
    return page


@post("/account/provider/unlink", include_in_schema=False, opt=SIGNED_IN)
async def submit_unlink(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    engine: NamedDependency[AsyncEngine],
    provider_door: NamedDependency[ProviderDoor],
) -> PageResponse:
    provider = require_provider(provider_door)
    await read_session_form(request, session, settings)
    if not session.is_recent:
        return responder.ask_for_proof(LINK_PATH)
    result = await unlink_provider(session, configuration=provider.configuration, engine=engine)
    match result:
        case Unlinked():
            return responder.redirect(LINK_PATH, flash=FlashCode.PROVIDER_UNLINKED)
        case NotLinked():
            return responder.redirect(LINK_PATH)
        case NoOtherWayIn():
            return responder.redirect(LINK_PATH, flash=FlashCode.PROVIDER_IS_ONLY_WAY)
        case LastOwner():
            return responder.redirect(LINK_PATH, flash=FlashCode.LAST_OWNER)
        case _:
            assert_never(result)


async def _begin(provider: Provider, visits: Visits, visit: Visit) -> tuple[str, str]:
    """The token for the browser's cookie, and where it goes. The provider is asked first: a visit that cannot begin
    leaves nothing behind.
    """
    await provider.read_metadata_kept()
    begun = await visits.begin(visit)
    address = await provider.authorization_url(state=begun.state, nonce=visit.nonce, verifier=visit.verifier)
    return begun.token, address


async def _identify(request: AnyRequest, provider: Provider, visit: Visit) -> tuple[ProviderIdentity, int]:
    """Raises ProviderFault."""
    await provider.check_response_issuer(_one(request, "iss"))
    code = _one(request, "code")
    if _one(request, "error") is not None or code is None or len(code) > _CODE_CHARS_MAX:
        raise ProviderFault("provider_refused")
    return await provider.identify(code, verifier=visit.verifier, nonce=visit.nonce)


def _one(request: AnyRequest, name: str) -> str | None:
    """A parameter that is there once: with two of them nobody can say which one counts (RFC 6749, 3.1)."""
    values = request.query_params.getall(name, [])
    return values[0] if len(values) == 1 else None


async def _count(request: AnyRequest, limiter: Limiter, request_origin: RequestOrigin, limits: RateLimits) -> None:
    source = request_origin.rate_limit_subject(request)
    await limiter.require([Charge("provider-source", source, limits.login_per_ip)])


def _refusal(responder: Responder, provider: Provider, fault: ProviderFault) -> PageResponse:
    name = provider.configuration.name
    if fault.is_outage:
        return responder.page(ProviderRefusalPage(name=name, reason="outage"), status=503)
    return responder.page(ProviderRefusalPage(name=name, reason="refused"), status=403)


PROVIDER_LOGIN_HANDLERS: tuple[HTTPRouteHandler, ...] = (begin_sign_in, come_back)
PROVIDER_LINK_HANDLERS: tuple[HTTPRouteHandler, ...] = (show_link, submit_link, submit_unlink)
