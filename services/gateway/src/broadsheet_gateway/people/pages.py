"""`/admin/users`: users and invitations, for owners of the whole installation.

Without a fresh proof the pages show no forms, so that nothing that was typed is lost to the question for a password.
"""

from typing import Final

from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.entity_tag import PreconditionFailedError
from broadsheet_common.http.problems import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    ProblemError,
    TooManyRequestsError,
    as_sentence,
)
from broadsheet_gateway.access.last_owner import LastOwnerError
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.accounts.session_form import read_session_form
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.admin.service_calls import parse_id
from broadsheet_gateway.forwarding.upstreams import Upstreams
from broadsheet_gateway.http.forms import Form
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder
from broadsheet_gateway.invitations.invitation import ADDRESS_CHARS_MAX, InvitationInput, InvitationPolicy
from broadsheet_gateway.invitations.invite import invite, send_again, withdraw
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.people.role_form import parse_rows, typed_rows
from broadsheet_gateway.people.show_people import TypedInvitation, show_user_page, show_users_page
from broadsheet_gateway.settings import GatewaySettings
from broadsheet_gateway.users import administer
from broadsheet_gateway.users.user import NAME_CHARS_MAX, UserPatch

USERS_PATH: Final = "/admin/users"
_READS: Final = needs("users:read", everywhere=True)
_WRITES: Final = needs("users:read", "users:write", everywhere=True)


@get("/users", include_in_schema=False, opt=_READS)
async def show_users(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    engine: NamedDependency[AsyncEngine],
    upstreams: NamedDependency[Upstreams],
) -> PageResponse:
    return responder.page(
        await show_users_page(
            session,
            engine=engine,
            upstreams=upstreams,
            cursor=request.query_params.get("cursor"),
            flashes=responder.flashes(request),
        )
    )


@post("/users/invitations", include_in_schema=False, opt=_WRITES)
async def submit_invitation(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    engine: NamedDependency[AsyncEngine],
    upstreams: NamedDependency[Upstreams],
    invitation_policy: NamedDependency[InvitationPolicy],
) -> PageResponse:
    form = await read_session_form(request, session, settings)
    if not session.is_recent:
        return responder.ask_for_proof(USERS_PATH)
    typed = _typed(form)
    grants, errors = parse_rows(typed.rows)
    if not grants and not errors:
        errors["role_1"] = "Choose at least one role."
    _find_long(typed, errors)
    form_error, status = "", 422
    if not errors:
        sent = InvitationInput(email=typed.email, name=typed.name, roles=grants)
        try:
            await invite(session.identity, sent, policy=invitation_policy, engine=engine)
        except InvalidInputError as error:
            errors = _by_field(error)
        except (ConflictError, ForbiddenError, TooManyRequestsError) as error:
            form_error, status = _sentence(error), error.status
        else:
            return responder.redirect(USERS_PATH, flash=FlashCode.USER_INVITED)
    view = await show_users_page(
        session, engine=engine, upstreams=upstreams, typed=typed, errors=errors, form_error=form_error
    )
    return responder.page(view, status=status)


@post("/users/invitations/{invitation_id:str}/send-again", include_in_schema=False, opt=_WRITES)
async def submit_send_again(
    request: AnyRequest,
    invitation_id: FromPath[str],
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    engine: NamedDependency[AsyncEngine],
    invitation_policy: NamedDependency[InvitationPolicy],
) -> PageResponse:
    await read_session_form(request, session, settings)
    if not session.is_recent:
        return responder.ask_for_proof(USERS_PATH)
    try:
        await send_again(session.identity, parse_id(invitation_id), policy=invitation_policy, engine=engine)
    except NotFoundError:
        flash = FlashCode.INVITATION_OVER
    except InvalidInputError:
        flash = FlashCode.INVITED_IS_USER
    except TooManyRequestsError:
        flash = FlashCode.INVITED_JUST_NOW
    else:
        flash = FlashCode.USER_INVITED
    return responder.redirect(USERS_PATH, flash=flash)


@post("/users/invitations/{invitation_id:str}/withdraw", include_in_schema=False, opt=_WRITES)
async def submit_withdraw(
    request: AnyRequest,
    invitation_id: FromPath[str],
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    engine: NamedDependency[AsyncEngine],
) -> PageResponse:
    await read_session_form(request, session, settings)
    if not session.is_recent:
        return responder.ask_for_proof(USERS_PATH)
    try:
        await withdraw(session.identity, parse_id(invitation_id), engine=engine)
    except NotFoundError:
        return responder.redirect(USERS_PATH, flash=FlashCode.INVITATION_OVER)
    return responder.redirect(USERS_PATH, flash=FlashCode.INVITATION_WITHDRAWN)


@get("/users/{user_id:str}", include_in_schema=False, opt=_READS)
async def show_one_user(
    request: AnyRequest,
    user_id: FromPath[str],
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    engine: NamedDependency[AsyncEngine],
    upstreams: NamedDependency[Upstreams],
) -> PageResponse:
    return responder.page(
        await show_user_page(
            session, parse_id(user_id), engine=engine, upstreams=upstreams, flashes=responder.flashes(request)
        )
    )


@post("/users/{user_id:str}", include_in_schema=False, opt=_WRITES)
async def submit_user(
    request: AnyRequest,
    user_id: FromPath[str],
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    engine: NamedDependency[AsyncEngine],
    upstreams: NamedDependency[Upstreams],
) -> PageResponse:
    form = await read_session_form(request, session, settings)
    number = parse_id(user_id)
    if not session.is_recent:
        return responder.ask_for_proof(_path_of(number))
    typed = _typed(form)
    grants, errors = parse_rows(typed.rows)
    _find_long(typed, errors)
    form_error, status = "", 422
    if not errors:
        # Without rows the form had none: the roles stay.
        patch = UserPatch(name=typed.name, roles=grants if typed.rows else UNSET)
        try:
            await administer.change(session.identity, number, patch, if_match=form.text("version"), engine=engine)
        except InvalidInputError as error:
            errors = _by_field(error)
        except PreconditionFailedError as error:
            form_error = "Somebody else changed this user meanwhile. Look at what is there now, then send it again."
            status = error.status
        except (LastOwnerError, ForbiddenError) as error:
            form_error, status = _sentence(error), error.status
        else:
            return responder.redirect(_path_of(number), flash=FlashCode.USER_CHANGED)
    view = await show_user_page(
        session,
        number,
        engine=engine,
        upstreams=upstreams,
        typed=None if status == PreconditionFailedError.status else typed,
        errors=errors,
        form_error=form_error,
    )
    return responder.page(view, status=status)


@post("/users/{user_id:str}/deactivate", include_in_schema=False, opt=_WRITES)
async def submit_deactivate(
    request: AnyRequest,
    user_id: FromPath[str],
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    engine: NamedDependency[AsyncEngine],
    sessions: NamedDependency[Sessions],
) -> PageResponse:
    await read_session_form(request, session, settings)
    number = parse_id(user_id)
    if not session.is_recent:
        return responder.ask_for_proof(_path_of(number))
    try:
        await administer.deactivate(session.identity, number, engine=engine, sessions=sessions)
    except LastOwnerError:
        return responder.redirect(_path_of(number), flash=FlashCode.LAST_OWNER)
    return responder.redirect(_path_of(number), flash=FlashCode.USER_DEACTIVATED)


@post("/users/{user_id:str}/reactivate", include_in_schema=False, opt=_WRITES)
async def submit_reactivate(
    request: AnyRequest,
    user_id: FromPath[str],
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    engine: NamedDependency[AsyncEngine],
) -> PageResponse:
    await read_session_form(request, session, settings)
    number = parse_id(user_id)
    if not session.is_recent:
        return responder.ask_for_proof(_path_of(number))
    await administer.reactivate(session.identity, number, engine=engine)
    return responder.redirect(_path_of(number), flash=FlashCode.USER_REACTIVATED)


@post("/users/{user_id:str}/end-sessions", include_in_schema=False, opt=_WRITES)
async def submit_end_sessions(
    request: AnyRequest,
    user_id: FromPath[str],
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    engine: NamedDependency[AsyncEngine],
    sessions: NamedDependency[Sessions],
) -> PageResponse:
    await read_session_form(request, session, settings)
    number = parse_id(user_id)
    if not session.is_recent:
        return responder.ask_for_proof(_path_of(number))
    await administer.end_everywhere(session.identity, number, engine=engine, sessions=sessions)
    return responder.redirect(_path_of(number), flash=FlashCode.USER_SESSIONS_ENDED)


@post("/users/{user_id:str}/remove-second-factor", include_in_schema=False, opt=_WRITES)
async def submit_remove_second_factor(
    request: AnyRequest,
    user_id: FromPath[str],
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    engine: NamedDependency[AsyncEngine],
    sessions: NamedDependency[Sessions],
) -> PageResponse:
    await read_session_form(request, session, settings)
    number = parse_id(user_id)
    if not session.is_recent:
        return responder.ask_for_proof(_path_of(number))
    await administer.remove_second_factor(session.identity, number, engine=engine, sessions=sessions)
    return responder.redirect(_path_of(number), flash=FlashCode.USER_FACTOR_REMOVED)


def _path_of(user_id: int) -> str:
    return f"{USERS_PATH}/{user_id}"


def _typed(form: Form) -> TypedInvitation:
    return TypedInvitation(
        email=form.text("email").strip()[: ADDRESS_CHARS_MAX + 1],
        name=form.text("name")[: NAME_CHARS_MAX + 1],
        rows=typed_rows(form),
    )


def _find_long(typed: TypedInvitation, errors: dict[str, str]) -> None:
    if len(typed.email) > ADDRESS_CHARS_MAX:
        errors["email"] = "The e-mail address is too long."
    if len(typed.name) > NAME_CHARS_MAX:
        errors["name"] = f"A name has at most {NAME_CHARS_MAX} characters."


def _by_field(error: InvalidInputError) -> dict[str, str]:
    return {problem.pointer.strip("/"): as_sentence(problem.detail) for problem in error.errors}


def _sentence(error: ProblemError) -> str:
    return as_sentence(error.detail or error.title)


PEOPLE_HANDLERS: tuple[HTTPRouteHandler, ...] = (
    show_users, submit_invitation, submit_send_again, submit_withdraw, show_one_user, submit_user, submit_deactivate,
    submit_reactivate, submit_end_sessions, submit_remove_second_factor,
)  # fmt: skip
