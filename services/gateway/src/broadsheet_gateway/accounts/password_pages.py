"""`/admin/password`: somebody who is signed in changes their password."""

from typing import assert_never

from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_gateway.access.page_access import SIGNED_IN
from broadsheet_gateway.accounts.change_password import (
    CurrentPasswordWrong,
    NewPasswordRefused,
    PasswordChanged,
    change_password,
)
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.accounts.password import PasswordFault
from broadsheet_gateway.accounts.password_hashing import PasswordHashing
from broadsheet_gateway.accounts.session_form import read_session_form
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.http.cookies import CookieJar
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder
from broadsheet_gateway.limits.limiter import Charge, Limiter
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.pages.account_views import PasswordPage
from broadsheet_gateway.settings import GatewaySettings, RateLimits

_FLASH_OF_FAULT = {
    PasswordFault.MISMATCH: FlashCode.PASSWORDS_DIFFER,
    PasswordFault.LENGTH: FlashCode.PASSWORD_LENGTH,
}
"""As the original answers: with a redirect, and the page after it says it at the field. Others are said at once."""


@get("/password", include_in_schema=False, opt=SIGNED_IN)
async def show_password(
    request: AnyRequest, session: NamedDependency[Session], responder: NamedDependency[Responder]
) -> PageResponse:
    return responder.page(PasswordPage(signed_in=session.signed_in, flashes=responder.flashes(request)))


@post("/password", include_in_schema=False, opt=SIGNED_IN)
async def submit_password(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    limits: NamedDependency[RateLimits],
    limiter: NamedDependency[Limiter],
    engine: NamedDependency[AsyncEngine],
    hashing: NamedDependency[PasswordHashing],
    sessions: NamedDependency[Sessions],
    jar: NamedDependency[CookieJar],
) -> PageResponse:
    form = await read_session_form(request, session, settings)
    current, new = form.required("current_password"), form.required("new_password")
    new_repeated = form.required("new_password_check")
    # Limited, so that somebody who took over a session cannot guess the password.
    await limiter.require([Charge("password-user", str(session.user_id), limits.login_per_user)])
    result = await change_password(
        session=session,
        current=current,
        new=new,
        new_repeated=new_repeated,
        may_use_default_password=settings.is_local,
        engine=engine,
        hashing=hashing,
        sessions=sessions,
    )
    match result:
        case PasswordChanged(session_id):
            cookie = jar.session(session_id, lifetime_s=sessions.lifetime_s)
            return responder.redirect("/admin/password", flash=FlashCode.PASSWORD_CHANGED, cookies=[cookie])
        case NewPasswordRefused(fault, reason):
            flash = _FLASH_OF_FAULT.get(fault)
            if flash is not None:
                return responder.redirect("/admin/password", flash=flash)
            view = PasswordPage(signed_in=session.signed_in, errors={"new_password": reason})
            return responder.page(view, status=422)
        case CurrentPasswordWrong():
            return responder.redirect("/admin/password", flash=FlashCode.CURRENT_PASSWORD_WRONG)
        case _:
            assert_never(result)


PASSWORD_HANDLERS: tuple[HTTPRouteHandler, ...] = (show_password, submit_password)
