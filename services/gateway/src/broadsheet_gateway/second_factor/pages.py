"""`/admin/account/second-factor`: set a second factor up, remove it, make new recovery codes.

Each needs a fresh proof, which asks for the factor where there is one. These pages are open to a user who must have a
second factor and has none yet; no others are.
"""

from typing import Any, Final, assert_never
from urllib.parse import urlsplit

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from markupsafe import Markup
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.sealed_secret import SecretBox
from broadsheet_gateway.access.page_access import SIGNED_IN_WITHOUT_FACTOR
from broadsheet_gateway.accounts.current_session import Session, require_recent
from broadsheet_gateway.accounts.session_form import read_session_form
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.http.cookies import CookieJar
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.pages.second_factor_views import RecoveryCodesPage, SecondFactorPage, SetUpPage
from broadsheet_gateway.second_factor.authenticator import in_groups, qr_svg, set_up_address
from broadsheet_gateway.second_factor.read_factor import read_factor
from broadsheet_gateway.second_factor.remove import remove_own_factor
from broadsheet_gateway.second_factor.set_up import (
    NoSetUp,
    SetUpCodeWrong,
    SetUpDone,
    begin_set_up,
    find_set_up,
    finish_set_up,
    renew_recovery_codes,
)
from broadsheet_gateway.settings import GatewaySettings

PATH: Final = "/admin/account/second-factor"
SET_UP_PATH: Final = f"{PATH}/set-up"
_OPEN: Final[Any] = SIGNED_IN_WITHOUT_FACTOR
_WRONG: Final = "This is not the code that your authenticator shows now. Check that its clock is right."


@get("/account/second-factor", include_in_schema=False, opt=_OPEN)
async def show_second_factor(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    engine: NamedDependency[AsyncEngine],
) -> PageResponse:
    require_recent(session)
    found = await read_factor(session.user_id, engine=engine)
    return responder.page(
        SecondFactorPage(
            signed_in=session.signed_in,
            flashes=responder.flashes(request),
            added_at=found.added_at,
            recovery_codes_left=found.recovery_codes_left,
            must_set_up=session.must_set_up_factor,
            may_add=session.may_add_factor,
        )
    )


@post("/account/second-factor/begin", include_in_schema=False, opt=_OPEN)
async def submit_begin(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    engine: NamedDependency[AsyncEngine],
    second_factor_box: NamedDependency[SecretBox],
) -> PageResponse:
    await read_session_form(request, session, settings)
    if not session.is_recent:
        return responder.ask_for_proof(PATH)
    if not session.may_add_factor:
        return responder.redirect(PATH, flash=FlashCode.USE_PASSKEY)
    if not await begin_set_up(session, engine=engine, box=second_factor_box):
        return responder.redirect(PATH, flash=FlashCode.SECOND_FACTOR_THERE)
    return responder.redirect(SET_UP_PATH)


@get("/account/second-factor/set-up", include_in_schema=False, opt=_OPEN)
async def show_set_up(
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    engine: NamedDependency[AsyncEngine],
    second_factor_box: NamedDependency[SecretBox],
) -> PageResponse:
    require_recent(session)
    secret = await find_set_up(session, engine=engine, box=second_factor_box)
    if secret is None:
        return responder.redirect(PATH, flash=FlashCode.SET_UP_OVER)
    return responder.page(_set_up_page(session, settings, secret))


@post("/account/second-factor/set-up", include_in_schema=False, opt=_OPEN)
async def submit_set_up(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    engine: NamedDependency[AsyncEngine],
    sessions: NamedDependency[Sessions],
    second_factor_box: NamedDependency[SecretBox],
    jar: NamedDependency[CookieJar],
) -> PageResponse:
    """The recovery codes are in this answer alone, which no browser stores."""
    form = await read_session_form(request, session, settings)
    if not session.is_recent:
        return responder.ask_for_proof(PATH)
    if not session.may_add_factor:
        return responder.redirect(PATH, flash=FlashCode.USE_PASSKEY)
    result = await finish_set_up(
        session, form.required("code"), engine=engine, box=second_factor_box, sessions=sessions
    )
    match result:
        case SetUpDone(session_id, codes):
            continued = msgspec.structs.replace(session, id=session_id)
            page = responder.page(RecoveryCodesPage(signed_in=continued.signed_in, codes=codes, is_new_factor=True))
            page.set_cookie(jar.session(session_id, lifetime_s=sessions.lifetime_s))
            return page
        case SetUpCodeWrong():
            secret = await find_set_up(session, engine=engine, box=second_factor_box)
            if secret is None:
                return responder.redirect(PATH, flash=FlashCode.SET_UP_OVER)
            return responder.page(_set_up_page(session, settings, secret, errors={"code": _WRONG}), status=422)
        case NoSetUp():
            return responder.redirect(PATH, flash=FlashCode.SET_UP_OVER)
        case _:
            assert_never(result)


@post("/account/second-factor/recovery-codes", include_in_schema=False, opt=_OPEN)
async def submit_recovery_codes(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    engine: NamedDependency[AsyncEngine],
) -> PageResponse:
    await read_session_form(request, session, settings)
    if not session.is_recent:
        return responder.ask_for_proof(PATH)
    codes = await renew_recovery_codes(session, engine=engine)
    if codes is None:
        return responder.redirect(PATH)
    return responder.page(RecoveryCodesPage(signed_in=session.signed_in, codes=codes))


@post("/account/second-factor/remove", include_in_schema=False, opt=_OPEN)
async def submit_remove(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    engine: NamedDependency[AsyncEngine],
    sessions: NamedDependency[Sessions],
    jar: NamedDependency[CookieJar],
) -> PageResponse:
    await read_session_form(request, session, settings)
    if not session.is_recent:
        return responder.ask_for_proof(PATH)
    session_id = await remove_own_factor(session, engine=engine, sessions=sessions)
    if session_id is None:
        return responder.redirect(PATH)
    cookie = jar.session(session_id, lifetime_s=sessions.lifetime_s)
    return responder.redirect(PATH, flash=FlashCode.SECOND_FACTOR_REMOVED, cookies=[cookie])


def _set_up_page(
    session: Session, settings: GatewaySettings, secret: str, errors: dict[str, str] | None = None
) -> SetUpPage:
    host = urlsplit(settings.public_url).hostname or ""
    address = set_up_address(secret, username=session.username, host=host)
    return SetUpPage(
        signed_in=session.signed_in,
        # Made here of a secret of ours; the address is drawn, not written, into it.
        qr=Markup(qr_svg(address)),  # noqa: S704
        secret=in_groups(secret),
        errors=errors or {},
    )


SECOND_FACTOR_HANDLERS: tuple[HTTPRouteHandler, ...] = (
    show_second_factor, submit_begin, show_set_up, submit_set_up, submit_recovery_codes, submit_remove,
)  # fmt: skip
