"""`/password-reset`: ask for a link; `/password-reset/{token}`: set a new password with it."""

import re
from datetime import timedelta
from typing import Final, assert_never

from litestar import post, route
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_gateway.accounts.password_hashing import PasswordHashing
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.http import csrf
from broadsheet_gateway.http.forms import read_form
from broadsheet_gateway.http.request_origin import RequestOrigin
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder
from broadsheet_gateway.limits.limiter import Charge, Limiter
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.pages.account_views import AskResetPage, ResetLinkGonePage, ResetMailedPage, SetPasswordPage
from broadsheet_gateway.password_reset.request_reset import ResetPolicy, request_reset
from broadsheet_gateway.password_reset.reset_mail import RESET_PATH
from broadsheet_gateway.password_reset.set_by_link import (
    LinkNotValid,
    PasswordSet,
    ResetRefused,
    is_link_valid,
    set_by_link,
)
from broadsheet_gateway.settings import FORM_BODY_MAX_BYTES, GatewaySettings, RateLimits

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_TYPED_CHARS_MAX: Final = 320


@route("/password-reset", http_method=["GET", "HEAD"], include_in_schema=False)
async def show_ask_reset(request: AnyRequest, responder: NamedDependency[Responder]) -> PageResponse:
    return responder.page(AskResetPage(flashes=responder.flashes(request)))


@post("/password-reset", include_in_schema=False)
async def submit_ask_reset(
    request: AnyRequest,
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    limits: NamedDependency[RateLimits],
    limiter: NamedDependency[Limiter],
    request_origin: NamedDependency[RequestOrigin],
    engine: NamedDependency[AsyncEngine],
) -> PageResponse:
    csrf.check_origin(request.headers, public_origin=settings.public_origin)
    form = await read_form(
        request.receive, request.headers, max_bytes=FORM_BODY_MAX_BYTES, timeout_s=settings.body_timeout_s
    )
    typed = form.required("email")
    try:
        address = EmailAddress.parse(typed)
    except ValueError as error:
        view = AskResetPage(email=typed[:_TYPED_CHARS_MAX], errors={"email": str(error)})
        return responder.page(view, status=422)
    await limiter.require([Charge("reset-source", request_origin.rate_limit_subject(request), limits.login_per_ip)])
    policy = ResetPolicy(
        public_url=str(settings.public_url),
        lifetime=timedelta(seconds=settings.password_reset_lifetime_s),
        cool_down=timedelta(seconds=settings.password_reset_cool_down_s),
    )
    await request_reset(address, source=request_origin.address(request), policy=policy, engine=engine)
    return responder.page(ResetMailedPage())


@route(f"{RESET_PATH}{{token:str}}", http_method=["GET", "HEAD"], include_in_schema=False)
async def show_set_password(
    token: FromPath[str], responder: NamedDependency[Responder], engine: NamedDependency[AsyncEngine]
) -> PageResponse:
    """Changes nothing: mail scanners follow links."""
    if not _TOKEN.fullmatch(token) or not await is_link_valid(token, engine=engine):
        return responder.page(ResetLinkGonePage(), status=410)
    return responder.page(SetPasswordPage(action_path=f"{RESET_PATH}{token}"))


@post(f"{RESET_PATH}{{token:str}}", include_in_schema=False)
async def submit_set_password(
    request: AnyRequest,
    token: FromPath[str],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    limits: NamedDependency[RateLimits],
    limiter: NamedDependency[Limiter],
    request_origin: NamedDependency[RequestOrigin],
    engine: NamedDependency[AsyncEngine],
    hashing: NamedDependency[PasswordHashing],
    sessions: NamedDependency[Sessions],
) -> PageResponse:
    """The token is the credential; a cookie plays no part, so there is no origin to check."""
    form = await read_form(
        request.receive, request.headers, max_bytes=FORM_BODY_MAX_BYTES, timeout_s=settings.body_timeout_s
    )
    new, new_repeated = form.required("new_password"), form.required("new_password_check")
    if not _TOKEN.fullmatch(token):
        return responder.page(ResetLinkGonePage(), status=410)
    await limiter.require([Charge("reset-source", request_origin.rate_limit_subject(request), limits.login_per_ip)])
    result = await set_by_link(
        token=token,
        new=new,
        new_repeated=new_repeated,
        source=request_origin.address(request),
        may_use_default_password=settings.is_local,
        engine=engine,
        hashing=hashing,
        sessions=sessions,
    )
    match result:
        case PasswordSet():
            return responder.redirect("/login", flash=FlashCode.PASSWORD_RESET)
        case ResetRefused(errors):
            return responder.page(SetPasswordPage(action_path=f"{RESET_PATH}{token}", errors=errors), status=422)
        case LinkNotValid():
            return responder.page(ResetLinkGonePage(), status=410)
        case _:
            assert_never(result)


PASSWORD_RESET_HANDLERS: tuple[HTTPRouteHandler, ...] = (
    show_ask_reset, submit_ask_reset, show_set_password, submit_set_password,
)  # fmt: skip
