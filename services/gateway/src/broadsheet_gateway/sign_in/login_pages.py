"""`/login`: the login form."""

from litestar import post, route
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.problems import TooManyRequestsError
from broadsheet_gateway.accounts.attempts import SignInAttempts
from broadsheet_gateway.accounts.note_sign_in import SignInNotes
from broadsheet_gateway.accounts.password_hashing import PasswordHashing
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.http import csrf
from broadsheet_gateway.http.cookies import CookieJar
from broadsheet_gateway.http.forms import read_form
from broadsheet_gateway.http.request_origin import RequestOrigin
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.pages.views import LoginPage
from broadsheet_gateway.passkeys.ceremony import RelyingParty
from broadsheet_gateway.settings import FORM_BODY_MAX_BYTES, GatewaySettings
from broadsheet_gateway.sign_in.admission import Admission
from broadsheet_gateway.sign_in.answer import answer_admitted, visit_of
from broadsheet_gateway.sign_in.log_in import WrongCredentials, log_in

_USERNAME_SHOWN_MAX = 100


@route("/login", http_method=["GET", "HEAD"], include_in_schema=False)
async def show_login(
    request: AnyRequest,
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    relying_party: NamedDependency[RelyingParty],
) -> PageResponse:
    return responder.page(_login_page(settings, relying_party, flashes=responder.flashes(request)))


@post("/login", include_in_schema=False)
async def submit_login(
    request: AnyRequest,
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    relying_party: NamedDependency[RelyingParty],
    attempts: NamedDependency[SignInAttempts],
    request_origin: NamedDependency[RequestOrigin],
    engine: NamedDependency[AsyncEngine],
    hashing: NamedDependency[PasswordHashing],
    sessions: NamedDependency[Sessions],
    admission: NamedDependency[Admission],
    sign_in_notes: NamedDependency[SignInNotes],
    jar: NamedDependency[CookieJar],
) -> PageResponse:
    csrf.check_origin(request.headers, public_origin=settings.public_origin)
    form = await read_form(
        request.receive, request.headers, max_bytes=FORM_BODY_MAX_BYTES, timeout_s=settings.body_timeout_s
    )
    username, password = form.required("username"), form.required("password")
    visit = visit_of(request, request_origin, jar)
    try:
        charge = await attempts.count_password(username, source=visit.source)
    except TooManyRequestsError as error:
        view = _login_page(settings, relying_party, username=username, flashes=(FlashCode.TOO_MANY_ATTEMPTS,))
        return responder.page(view, status=error.status, headers=error.headers)
    result = await log_in(
        username=username,
        password=password,
        visit=visit,
        admission=admission,
        notes=sign_in_notes,
        may_use_default_password=settings.is_local,
        engine=engine,
        hashing=hashing,
    )
    if isinstance(result, WrongCredentials):
        return responder.redirect("/login", flash=FlashCode.AUTHENTICATION_FAILED)
    await attempts.clear(charge)
    return answer_admitted(result, responder=responder, jar=jar, lifetime_s=sessions.lifetime_s)


def _login_page(
    settings: GatewaySettings, relying_party: RelyingParty, *, username: str = "", flashes: tuple[FlashCode, ...] = ()
) -> LoginPage:
    """With every way in that there is, whatever the answer: who typed too often may still have a passkey."""
    return LoginPage(
        username=username[:_USERNAME_SHOWN_MAX],
        flashes=flashes,
        provider_name=settings.provider_name,
        passkeys_possible=relying_party.is_possible,
    )


LOGIN_HANDLERS: tuple[HTTPRouteHandler, ...] = (show_login, submit_login)
