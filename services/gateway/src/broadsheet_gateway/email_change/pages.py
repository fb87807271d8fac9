"""`/admin/account/email`: ask for another address; `/email-change/{token}`: confirm it from a mailbox."""

import re
from typing import Final, assert_never

from litestar import get, post, route
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_gateway.access.page_access import SIGNED_IN
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.accounts.interface import find_user
from broadsheet_gateway.accounts.session_form import read_session_form
from broadsheet_gateway.email_change.change_mails import EMAIL_CHANGE_PATH
from broadsheet_gateway.email_change.confirm_change import (
    AddressChanged,
    AddressTaken,
    ChangeNotOpen,
    OtherSideWaits,
    confirm_change,
    find_by_token,
)
from broadsheet_gateway.email_change.request_change import (
    ChangedJustNow,
    ChangeRefused,
    ChangeRequested,
    EmailChangePolicy,
    request_change,
)
from broadsheet_gateway.email_change.store import find_change_of
from broadsheet_gateway.http.request_origin import RequestOrigin
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder
from broadsheet_gateway.limits.limiter import Charge, Limiter
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.pages.email_views import (
    ConfirmEmailPage,
    EmailChangedPage,
    EmailChangeGonePage,
    EmailPage,
    PendingEmail,
)
from broadsheet_gateway.reader.public_pages import drop_body
from broadsheet_gateway.settings import GatewaySettings, RateLimits

EMAIL_PATH: Final = "/admin/account/email"
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_TYPED_CHARS_MAX: Final = 320


async def _page(
    session: Session,
    engine: AsyncEngine,
    *,
    email: str = "",
    error: str = "",
    form_error: str = "",
    flashes: tuple[FlashCode, ...] = (),
) -> EmailPage:
    async with engine.connect() as connection:
        user = await find_user(connection, session.user_id)
        change = await find_change_of(connection, session.user_id)
    assert user is not None, "users are never deleted"
    pending = None
    if change is not None:
        pending = PendingEmail(
            new_email=change.new_email,
            waits_for_old=change.old_email is not None and not change.is_old_confirmed,
            waits_for_new=not change.is_new_confirmed,
            expires_at=change.expires_at,
        )
    return EmailPage(
        signed_in=session.signed_in,
        flashes=flashes,
        current=user.email,
        pending=pending,
        is_recent=session.is_recent,
        email=email,
        errors={"email": error} if error else {},
        form_error=form_error,
    )


@get("/account/email", include_in_schema=False, opt=SIGNED_IN)
async def show_email(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    engine: NamedDependency[AsyncEngine],
) -> PageResponse:
    return responder.page(await _page(session, engine, flashes=responder.flashes(request)))


@post("/account/email", include_in_schema=False, opt=SIGNED_IN)
async def submit_email(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    engine: NamedDependency[AsyncEngine],
) -> PageResponse:
    form = await read_session_form(request, session, settings)
    if not session.is_recent:
        return responder.ask_for_proof(EMAIL_PATH)
    typed = form.required("email")
    policy = EmailChangePolicy(
        public_url=str(settings.public_url),
        lifetime_s=settings.email_change_lifetime_s,
        cool_down_s=settings.email_change_cool_down_s,
    )
    result = await request_change(session, typed, policy=policy, engine=engine)
    match result:
        case ChangeRequested():
            return responder.redirect(EMAIL_PATH, flash=FlashCode.EMAIL_CHANGE_MAILED)
        case ChangeRefused(reason):
            return responder.page(
                await _page(session, engine, email=typed[:_TYPED_CHARS_MAX], error=reason), status=422
            )
        case ChangedJustNow():
            view = await _page(
                session,
                engine,
                email=typed[:_TYPED_CHARS_MAX],
                form_error="You asked for a change a short time ago. Wait some minutes before you ask again.",
            )
            return responder.page(view, status=429, headers={"Retry-After": str(policy.cool_down_s)})
        case _:
            assert_never(result)


@route(f"{EMAIL_CHANGE_PATH}{{token:str}}", http_method=["GET", "HEAD"], include_in_schema=False)
async def show_confirm_email(
    token: FromPath[str], responder: NamedDependency[Responder], engine: NamedDependency[AsyncEngine]
) -> PageResponse:
    """Changes nothing: mail scanners follow links."""
    found = await find_by_token(token, engine=engine) if _TOKEN.fullmatch(token) else None
    if found is None:
        return responder.page(EmailChangeGonePage(), status=410)
    change, is_old = found
    return responder.page(
        ConfirmEmailPage(
            action_path=f"{EMAIL_CHANGE_PATH}{token}",
            new_email=change.new_email,
            is_old=is_old,
            is_confirmed=change.is_old_confirmed if is_old else change.is_new_confirmed,
        )
    )


@post(f"{EMAIL_CHANGE_PATH}{{token:str}}", include_in_schema=False)
async def submit_confirm_email(
    request: AnyRequest,
    token: FromPath[str],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    limits: NamedDependency[RateLimits],
    limiter: NamedDependency[Limiter],
    request_origin: NamedDependency[RequestOrigin],
    engine: NamedDependency[AsyncEngine],
) -> PageResponse:
    """The token is the credential; a cookie plays no part, so there is no origin to check. The form has no fields."""
    await drop_body(request, settings)
    if not _TOKEN.fullmatch(token):
        return responder.page(EmailChangeGonePage(), status=410)
    await limiter.require(
        [Charge("email-change-source", request_origin.rate_limit_subject(request), limits.login_per_ip)]
    )
    result = await confirm_change(token, source=request_origin.address(request), engine=engine)
    match result:
        case AddressChanged():
            return responder.page(EmailChangedPage())
        case OtherSideWaits(is_old):
            return responder.page(EmailChangedPage(waits_for="new" if is_old else "old"))
        case AddressTaken():
            return responder.page(EmailChangeGonePage(is_taken=True), status=409)
        case ChangeNotOpen():
            return responder.page(EmailChangeGonePage(), status=410)
        case _:
            assert_never(result)


EMAIL_HANDLERS: tuple[HTTPRouteHandler, ...] = (show_email, submit_email)
EMAIL_LINK_HANDLERS: tuple[HTTPRouteHandler, ...] = (show_confirm_email, submit_confirm_email)
