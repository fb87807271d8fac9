"""`/login/second-factor`: the second half of a sign-in."""

from litestar import post, route
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.sealed_secret import SecretBox
from broadsheet_gateway.accounts.note_sign_in import SignInNotes
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.http import csrf
from broadsheet_gateway.http.cookies import CookieJar
from broadsheet_gateway.http.forms import read_form
from broadsheet_gateway.http.request_origin import RequestOrigin
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.pages.second_factor_views import LoginCodePage
from broadsheet_gateway.second_factor.check_code import WRONG_CODE, TooManyCodes
from broadsheet_gateway.settings import FORM_BODY_MAX_BYTES, GatewaySettings
from broadsheet_gateway.sign_in.admission import Admission
from broadsheet_gateway.sign_in.answer import SECOND_FACTOR_PATH, answer_admitted, visit_of
from broadsheet_gateway.sign_in.finish_sign_in import CodeWrong, HalfSignInOver, finish_sign_in
from broadsheet_gateway.sign_in.half_sign_ins import HalfSignIns


@route(SECOND_FACTOR_PATH, http_method=["GET", "HEAD"], include_in_schema=False)
async def show_second_factor(
    request: AnyRequest,
    responder: NamedDependency[Responder],
    half_sign_ins: NamedDependency[HalfSignIns],
    jar: NamedDependency[CookieJar],
) -> PageResponse:
    if not await half_sign_ins.exists(request.cookies.get(jar.half_sign_in_name)):
        return responder.redirect("/login", flash=FlashCode.SIGN_IN_OVER)
    return responder.page(LoginCodePage(flashes=responder.flashes(request)))


@post(SECOND_FACTOR_PATH, include_in_schema=False)
async def submit_second_factor(
    request: AnyRequest,
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    request_origin: NamedDependency[RequestOrigin],
    engine: NamedDependency[AsyncEngine],
    sessions: NamedDependency[Sessions],
    half_sign_ins: NamedDependency[HalfSignIns],
    admission: NamedDependency[Admission],
    sign_in_notes: NamedDependency[SignInNotes],
    second_factor_box: NamedDependency[SecretBox],
    jar: NamedDependency[CookieJar],
) -> PageResponse:
    """As at the log-in there is no session yet whose token the form could carry: the origin is checked."""
    csrf.check_origin(request.headers, public_origin=settings.public_origin)
    form = await read_form(
        request.receive, request.headers, max_bytes=FORM_BODY_MAX_BYTES, timeout_s=settings.body_timeout_s
    )
    result = await finish_sign_in(
        request.cookies.get(jar.half_sign_in_name),
        form.required("code"),
        visit=visit_of(request, request_origin, jar),
        admission=admission,
        half_sign_ins=half_sign_ins,
        notes=sign_in_notes,
        engine=engine,
        box=second_factor_box,
    )
    match result:
        case CodeWrong():
            return responder.page(LoginCodePage(errors={"code": WRONG_CODE}), status=422)
        case TooManyCodes(retry_after_s):
            view = LoginCodePage(flashes=(FlashCode.TOO_MANY_CODES,))
            return responder.page(view, status=429, headers={"Retry-After": str(retry_after_s)})
        case HalfSignInOver():
            return responder.redirect(
                "/login", flash=FlashCode.SIGN_IN_OVER, cookies=[jar.expired(jar.half_sign_in_name)]
            )
        case _:
            return answer_admitted(result, responder=responder, jar=jar, lifetime_s=sessions.lifetime_s)


SECOND_FACTOR_LOGIN_HANDLERS: tuple[HTTPRouteHandler, ...] = (show_second_factor, submit_second_factor)
