"""`/admin/account/passkeys`: register and remove passkeys; `/admin/confirm/passkey`: a fresh proof by one.

The scripts of these pages ask for the options, run the ceremony in the browser, and send the form with what came of it.
"""

import re
from typing import Any, Final, assert_never

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.problems import ConflictError, TooManyRequestsError
from broadsheet_gateway.access.page_access import SIGNED_IN, SIGNED_IN_WITHOUT_FACTOR, SecondFactorNeededError
from broadsheet_gateway.accounts.attempts import SignInAttempts
from broadsheet_gateway.accounts.current_session import Session, require_recent
from broadsheet_gateway.accounts.session_form import read_session_form
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.http.cookies import CookieJar
from broadsheet_gateway.http.request_origin import RequestOrigin
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder
from broadsheet_gateway.own_sessions.session_pages import page_to_return_to
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.pages.passkey_views import PasskeyRow, PasskeysPage
from broadsheet_gateway.passkeys.ceremony import RelyingParty, assertion_options
from broadsheet_gateway.passkeys.challenges import Challenges
from broadsheet_gateway.passkeys.list_passkeys import list_own_passkeys
from broadsheet_gateway.passkeys.register import (
    LastWayIn,
    NoSuchPasskey,
    PasskeyAdded,
    PasskeyNotAdded,
    PasskeyRemoved,
    TooManyPasskeys,
    begin_registration,
    finish_registration,
    parse_name,
    remove_passkey,
)
from broadsheet_gateway.passkeys.show_passkey import PasskeyRefused, confirm_by_passkey
from broadsheet_gateway.settings import GatewaySettings

PATH: Final = "/admin/account/passkeys"
_OPEN: Final[Any] = SIGNED_IN_WITHOUT_FACTOR
_ID: Final = re.compile(r"[0-9]{1,18}")
_NAME_SHOWN_MAX: Final = 200


class TooManyPasskeysError(ConflictError):
    slug, title = "too-many-passkeys", "You have 20 passkeys; remove one first"


def options_answer(options: bytes) -> Response[bytes]:
    return Response(options, media_type="application/json")


@get("/account/passkeys", include_in_schema=False, opt=_OPEN)
async def show_passkeys(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    engine: NamedDependency[AsyncEngine],
    relying_party: NamedDependency[RelyingParty],
) -> PageResponse:
    require_recent(session)
    view = await _page(session, engine, relying_party, flashes=responder.flashes(request))
    return responder.page(view)


@post("/account/passkeys/options", status_code=200, include_in_schema=False, opt=_OPEN)
async def submit_registration_options(
    request: AnyRequest,
    session: NamedDependency[Session],
    settings: NamedDependency[GatewaySettings],
    engine: NamedDependency[AsyncEngine],
    challenges: NamedDependency[Challenges],
    relying_party: NamedDependency[RelyingParty],
) -> Response[bytes]:
    await read_session_form(request, session, settings)
    require_recent(session)
    if not session.may_add_factor:
        raise SecondFactorNeededError
    options = await begin_registration(session, party=relying_party, challenges=challenges, engine=engine)
    if isinstance(options, TooManyPasskeys):
        raise TooManyPasskeysError
    return options_answer(options)


@post("/account/passkeys", include_in_schema=False, opt=_OPEN)
async def submit_passkey(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    engine: NamedDependency[AsyncEngine],
    sessions: NamedDependency[Sessions],
    challenges: NamedDependency[Challenges],
    relying_party: NamedDependency[RelyingParty],
    jar: NamedDependency[CookieJar],
) -> PageResponse:
    form = await read_session_form(request, session, settings)
    if not session.is_recent:
        return responder.ask_for_proof(PATH)
    if not session.may_add_factor:
        return responder.redirect(PATH, flash=FlashCode.USE_PASSKEY)
    typed = form.text("name")
    try:
        name = parse_name(typed)
    except ValueError as error:
        view = await _page(session, engine, relying_party, name=typed[:_NAME_SHOWN_MAX], errors={"name": str(error)})
        return responder.page(view, status=422)
    result = await finish_registration(
        session,
        form.required("credential"),
        name=name,
        party=relying_party,
        challenges=challenges,
        engine=engine,
        sessions=sessions,
    )
    match result:
        case PasskeyAdded(session_id):
            cookie = jar.session(session_id, lifetime_s=sessions.lifetime_s)
            return responder.redirect(PATH, flash=FlashCode.PASSKEY_ADDED, cookies=[cookie])
        case PasskeyNotAdded():
            return responder.redirect(PATH, flash=FlashCode.PASSKEY_REFUSED)
        case TooManyPasskeys():
            return responder.redirect(PATH, flash=FlashCode.TOO_MANY_PASSKEYS)
        case _:
            assert_never(result)


@post("/account/passkeys/remove", include_in_schema=False, opt=SIGNED_IN)
async def submit_remove_passkey(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    engine: NamedDependency[AsyncEngine],
    sessions: NamedDependency[Sessions],
    jar: NamedDependency[CookieJar],
) -> PageResponse:
    form = await read_session_form(request, session, settings)
    if not session.is_recent:
        return responder.ask_for_proof(PATH)
    passkey_id = form.required("passkey")
    if not _ID.fullmatch(passkey_id):
        return responder.redirect(PATH, flash=FlashCode.PASSKEY_GONE)
    result = await remove_passkey(session, int(passkey_id), engine=engine, sessions=sessions)
    match result:
        case PasskeyRemoved(session_id):
            cookie = jar.session(session_id, lifetime_s=sessions.lifetime_s)
            return responder.redirect(PATH, flash=FlashCode.PASSKEY_REMOVED, cookies=[cookie])
        case NoSuchPasskey():
            return responder.redirect(PATH, flash=FlashCode.PASSKEY_GONE)
        case LastWayIn():
            return responder.redirect(PATH, flash=FlashCode.LAST_WAY_IN)
        case _:
            assert_never(result)


@post("/confirm/passkey/options", status_code=200, include_in_schema=False, opt=_OPEN)
async def submit_confirm_options(
    request: AnyRequest,
    session: NamedDependency[Session],
    settings: NamedDependency[GatewaySettings],
    challenges: NamedDependency[Challenges],
    relying_party: NamedDependency[RelyingParty],
) -> Response[bytes]:
    await read_session_form(request, session, settings)
    made = await challenges.make("confirm", session.id)
    return options_answer(assertion_options(relying_party, challenge=made.challenge))


@post("/confirm/passkey", include_in_schema=False, opt=_OPEN)
async def submit_confirm_passkey(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    attempts: NamedDependency[SignInAttempts],
    request_origin: NamedDependency[RequestOrigin],
    engine: NamedDependency[AsyncEngine],
    sessions: NamedDependency[Sessions],
    challenges: NamedDependency[Challenges],
    relying_party: NamedDependency[RelyingParty],
    jar: NamedDependency[CookieJar],
) -> PageResponse:
    form = await read_session_form(request, session, settings)
    next_path = page_to_return_to(form.get("next"))
    back = f"/admin/confirm?next={next_path}"
    try:
        charge = await attempts.count_password(session.username, source=request_origin.rate_limit_subject(request))
    except TooManyRequestsError:
        return responder.redirect(back, flash=FlashCode.TOO_MANY_ATTEMPTS)
    result = await confirm_by_passkey(
        session,
        form.required("credential"),
        party=relying_party,
        challenges=challenges,
        engine=engine,
        sessions=sessions,
    )
    if isinstance(result, PasskeyRefused):
        return responder.redirect(back, flash=FlashCode.PASSKEY_REFUSED)
    await attempts.clear(charge)
    return responder.redirect(next_path, cookies=[jar.session(result, lifetime_s=sessions.lifetime_s)])


async def _page(
    session: Session,
    engine: AsyncEngine,
    party: RelyingParty,
    *,
    flashes: tuple[FlashCode, ...] = (),
    name: str = "",
    errors: dict[str, str] | None = None,
) -> PasskeysPage:
    rows = [
        PasskeyRow(id=one.id, name=one.name, created_at=one.created_at, last_used_at=one.last_used_at)
        for one in await list_own_passkeys(session.user_id, engine=engine)
    ]
    return PasskeysPage(
        signed_in=session.signed_in,
        flashes=flashes,
        passkeys=tuple(rows),
        is_possible=party.is_possible,
        may_add=session.may_add_factor,
        may_remove=not session.must_set_up_factor,
        name=name,
        errors=errors or {},
    )


PASSKEY_HANDLERS: tuple[HTTPRouteHandler, ...] = (
    show_passkeys, submit_registration_options, submit_passkey, submit_remove_passkey, submit_confirm_options,
    submit_confirm_passkey,
)  # fmt: skip
