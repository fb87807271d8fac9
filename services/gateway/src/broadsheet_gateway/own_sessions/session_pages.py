"""`/admin/account/sessions`: one's own sessions; `/admin/confirm`: prove again who one is."""

import re
from datetime import UTC, datetime
from typing import Final, assert_never

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.sealed_secret import SecretBox
from broadsheet_common.http.problems import TooManyRequestsError
from broadsheet_gateway.access.page_access import SIGNED_IN, SIGNED_IN_WITHOUT_FACTOR
from broadsheet_gateway.accounts.attempts import SignInAttempts
from broadsheet_gateway.accounts.current_session import Session, from_us
from broadsheet_gateway.accounts.password_hashing import PasswordHashing
from broadsheet_gateway.accounts.session_form import read_session_form
from broadsheet_gateway.accounts.sessions import ListedSession, Sessions, session_handle
from broadsheet_gateway.http.cookies import CookieJar
from broadsheet_gateway.http.request_origin import RequestOrigin
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder
from broadsheet_gateway.own_sessions.confirm_identity import (
    CodeNotConfirmed,
    IdentityConfirmed,
    IdentityNotConfirmed,
    confirm_by_password,
)
from broadsheet_gateway.own_sessions.end_sessions import end_one_session, end_other_sessions
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.pages.account_views import ConfirmIdentityPage, SessionRow, SessionsPage
from broadsheet_gateway.second_factor.check_code import WRONG_CODE, TooManyCodes
from broadsheet_gateway.settings import GatewaySettings

SESSIONS_PATH: Final = "/admin/account/sessions"
_PAGE_PATH: Final = re.compile(r"/admin(?:/[A-Za-z0-9_-]{1,64}){0,6}")
_WRONG_PASSWORD: Final = "This is not your password."  # noqa: S105 (a message)
_AFTER_CONFIRMING: Final = "/admin/dashboard"


def page_to_return_to(text: str | None) -> str:
    """A path of ours, whatever the query or the form holds: nobody is sent to another site."""
    return text if text is not None and _PAGE_PATH.fullmatch(text) else _AFTER_CONFIRMING


@get("/account/sessions", include_in_schema=False, opt=SIGNED_IN)
async def show_sessions(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    sessions: NamedDependency[Sessions],
) -> PageResponse:
    own = session_handle(session.id)
    listed = await sessions.list_of(session.user_id)
    return responder.page(
        SessionsPage(
            signed_in=session.signed_in,
            flashes=responder.flashes(request),
            sessions=tuple(sorted((_row(item, own) for item in listed), key=lambda row: not row.is_this_one)),
        )
    )


def _row(item: ListedSession, own: str) -> SessionRow:
    return SessionRow(
        handle=item.handle,
        browser=item.data.browser or "Unknown program",
        source=item.data.source or "an unknown address",
        started_at=from_us(item.data.started_at_us) if item.data.started_at_us else None,
        used_at=datetime.fromtimestamp(item.used_at_s, UTC),
        is_this_one=item.handle == own,
    )


@post("/account/sessions/end", include_in_schema=False, opt=SIGNED_IN)
async def submit_end_session(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    engine: NamedDependency[AsyncEngine],
    sessions: NamedDependency[Sessions],
) -> PageResponse:
    form = await read_session_form(request, session, settings)
    ended = await end_one_session(session, form.required("session"), engine=engine, sessions=sessions)
    return responder.redirect(SESSIONS_PATH, flash=FlashCode.SESSION_ENDED if ended else FlashCode.SESSION_OVER)


@post("/account/sessions/end-others", include_in_schema=False, opt=SIGNED_IN)
async def submit_end_others(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    engine: NamedDependency[AsyncEngine],
    sessions: NamedDependency[Sessions],
    jar: NamedDependency[CookieJar],
) -> PageResponse:
    await read_session_form(request, session, settings)
    session_id = await end_other_sessions(session, engine=engine, sessions=sessions)
    cookie = jar.session(session_id, lifetime_s=sessions.lifetime_s)
    return responder.redirect(SESSIONS_PATH, flash=FlashCode.OTHER_SESSIONS_ENDED, cookies=[cookie])


@get("/confirm", include_in_schema=False, opt=SIGNED_IN_WITHOUT_FACTOR)
async def show_confirm(
    request: AnyRequest, session: NamedDependency[Session], responder: NamedDependency[Responder]
) -> PageResponse:
    return responder.page(
        ConfirmIdentityPage(
            signed_in=session.signed_in,
            flashes=responder.flashes(request),
            next_path=page_to_return_to(request.query_params.get("next")),
            asks_code=session.has_second_factor,
            asks_passkey=session.has_passkey,
            has_password=session.has_password,
        )
    )


@post("/confirm", include_in_schema=False, opt=SIGNED_IN_WITHOUT_FACTOR)
async def submit_confirm(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    attempts: NamedDependency[SignInAttempts],
    request_origin: NamedDependency[RequestOrigin],
    engine: NamedDependency[AsyncEngine],
    hashing: NamedDependency[PasswordHashing],
    sessions: NamedDependency[Sessions],
    second_factor_box: NamedDependency[SecretBox],
    jar: NamedDependency[CookieJar],
) -> PageResponse:
    form = await read_session_form(request, session, settings)
    next_path = page_to_return_to(form.get("next"))
    view = ConfirmIdentityPage(
        signed_in=session.signed_in,
        next_path=next_path,
        asks_code=session.has_second_factor,
        asks_passkey=session.has_passkey,
        has_password=session.has_password,
    )
    try:
        charge = await attempts.count_password(session.username, source=request_origin.rate_limit_subject(request))
    except TooManyRequestsError as error:
        refused = msgspec.structs.replace(view, flashes=(FlashCode.TOO_MANY_ATTEMPTS,))
        return responder.page(refused, status=error.status, headers=error.headers)
    result = await confirm_by_password(
        session,
        form.required("password"),
        code=form.text("code"),
        engine=engine,
        hashing=hashing,
        sessions=sessions,
        box=second_factor_box,
    )
    match result:
        case IdentityNotConfirmed():
            return responder.page(msgspec.structs.replace(view, errors={"password": _WRONG_PASSWORD}), status=422)
        case CodeNotConfirmed():
            return responder.page(msgspec.structs.replace(view, errors={"code": WRONG_CODE}), status=422)
        case TooManyCodes(retry_after_s):
            refused = msgspec.structs.replace(view, flashes=(FlashCode.TOO_MANY_CODES,))
            return responder.page(refused, status=429, headers={"Retry-After": str(retry_after_s)})
        case IdentityConfirmed(session_id):
            await attempts.clear(charge)
            return responder.redirect(next_path, cookies=[jar.session(session_id, lifetime_s=sessions.lifetime_s)])
        case _:
            assert_never(result)


OWN_SESSION_HANDLERS: tuple[HTTPRouteHandler, ...] = (
    show_sessions, submit_end_session, submit_end_others, show_confirm, submit_confirm,
)  # fmt: skip
