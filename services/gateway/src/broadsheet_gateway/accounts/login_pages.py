"""`/login`: the login form."""

from typing import assert_never

import structlog
from litestar import post, route
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.problems import TooManyRequestsError
from broadsheet_gateway.accounts.log_in import LoggedIn, WrongCredentials, log_in
from broadsheet_gateway.accounts.password_hashing import PasswordHashing
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.accounts.store import find_user_by_name
from broadsheet_gateway.http import csrf
from broadsheet_gateway.http.cookies import CookieJar
from broadsheet_gateway.http.forms import read_form
from broadsheet_gateway.http.request_origin import RequestOrigin
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder
from broadsheet_gateway.limits.limiter import Charge, Limiter
from broadsheet_gateway.limits.rate_limit import RateLimit
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.pages.views import LoginPage
from broadsheet_gateway.settings import FORM_BODY_MAX_BYTES, GatewaySettings, RateLimits

_USERNAME_SHOWN_MAX = 100
_LOCKOUTS_NOTED = RateLimit(1, 60)

_log = structlog.get_logger()


@route("/login", http_method=["GET", "HEAD"], include_in_schema=False)
async def show_login(request: AnyRequest, responder: NamedDependency[Responder]) -> PageResponse:
    return responder.page(LoginPage(flashes=responder.flashes(request)))


@post("/login", include_in_schema=False)
async def submit_login(
    request: AnyRequest,
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    limits: NamedDependency[RateLimits],
    limiter: NamedDependency[Limiter],
    request_origin: NamedDependency[RequestOrigin],
    engine: NamedDependency[AsyncEngine],
    hashing: NamedDependency[PasswordHashing],
    sessions: NamedDependency[Sessions],
    jar: NamedDependency[CookieJar],
) -> PageResponse:
    csrf.check_origin(request.headers, public_origin=settings.public_origin)
    form = await read_form(
        request.receive, request.headers, max_bytes=FORM_BODY_MAX_BYTES, timeout_s=settings.body_timeout_s
    )
    username, password = form.required("username"), form.required("password")
    source = request_origin.rate_limit_subject(request)
    name = username[:_USERNAME_SHOWN_MAX]
    # Counted by user and source: wrong passwords from elsewhere must not lock the user out.
    by_user = Charge("login-user", f"{source} {name}", limits.login_per_user)
    try:
        await limiter.require(
            [
                by_user,
                Charge("login-user-all", name, limits.login_per_user_overall),
                Charge("login-address", source, limits.login_per_ip),
            ]
        )
    except TooManyRequestsError as error:
        await _note_lockout(name, error, limiter=limiter, engine=engine)
        view = LoginPage(username=name, flashes=(FlashCode.TOO_MANY_ATTEMPTS,))
        return responder.page(view, status=error.status, headers=error.headers)
    result = await log_in(
        username=username,
        password=password,
        earlier_session_id=request.cookies.get(jar.session_name),
        may_use_default_password=settings.is_local,
        engine=engine,
        hashing=hashing,
        sessions=sessions,
    )
    match result:
        case WrongCredentials():
            return responder.redirect("/login", flash=FlashCode.AUTHENTICATION_FAILED)
        case LoggedIn(session_id):
            await limiter.clear(by_user)
            cookie = jar.session(session_id, lifetime_s=sessions.lifetime_s)
            return responder.redirect("/admin/dashboard", cookies=[cookie])
        case _:
            assert_never(result)


async def _note_lockout(name: str, refusal: TooManyRequestsError, *, limiter: Limiter, engine: AsyncEngine) -> None:
    """Logged at most once a minute for a name: a flood of refused logins costs neither queries nor log lines."""
    [verdict] = await limiter.charge([Charge("login-lockout-noted", name, _LOCKOUTS_NOTED)])
    if not verdict.is_allowed:
        return
    async with engine.connect() as connection:
        user = await find_user_by_name(connection, name)
    policy = refusal.headers["RateLimit-Policy"].partition(";")[0].strip('"')
    _log.warning("security.login_limited", user_id=None if user is None else user.id, limit=policy)


LOGIN_HANDLERS: tuple[HTTPRouteHandler, ...] = (show_login, submit_login)
