"""`/invitation/{token}`: make one's own account."""

import re
from typing import Final, assert_never

import structlog
from litestar import post, route
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.problems import UnavailableError
from broadsheet_gateway.accounts.password_hashing import PasswordHashing
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.http import csrf
from broadsheet_gateway.http.cookies import CookieJar
from broadsheet_gateway.http.forms import read_form
from broadsheet_gateway.http.request_origin import RequestOrigin
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder
from broadsheet_gateway.invitations.accept import (
    AccountMade,
    AccountRefused,
    InvitationGone,
    TypedAccount,
    accept,
    find_invited,
)
from broadsheet_gateway.invitations.invitation_mail import INVITATION_PATH
from broadsheet_gateway.limits.limiter import Charge, Limiter
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.pages.people_views import AcceptInvitationPage, InvitationGonePage
from broadsheet_gateway.settings import FORM_BODY_MAX_BYTES, GatewaySettings, RateLimits
from broadsheet_gateway.sign_in.admission import Admission
from broadsheet_gateway.sign_in.answer import answer_admitted, visit_of
from broadsheet_gateway.users.user import NAME_CHARS_MAX, USERNAME_CHARS_MAX

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")

_log = structlog.get_logger()


@route(f"{INVITATION_PATH}{{token:str}}", http_method=["GET", "HEAD"], include_in_schema=False)
async def show_invitation(
    token: FromPath[str], responder: NamedDependency[Responder], engine: NamedDependency[AsyncEngine]
) -> PageResponse:
    """Changes nothing: mail scanners follow links."""
    invited = await find_invited(token, engine=engine) if _TOKEN.fullmatch(token) else None
    if invited is None:
        return responder.page(InvitationGonePage(), status=410)
    return responder.page(
        AcceptInvitationPage(action_path=f"{INVITATION_PATH}{token}", email=invited.email, name=invited.name)
    )


@post(f"{INVITATION_PATH}{{token:str}}", include_in_schema=False)
async def submit_account(
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
    admission: NamedDependency[Admission],
    jar: NamedDependency[CookieJar],
) -> PageResponse:
    """The token is the credential. Whoever used it is signed in, unless another site's page sent the form: none may
    sign a visitor in under an account of its own.
    """
    form = await read_form(
        request.receive, request.headers, max_bytes=FORM_BODY_MAX_BYTES, timeout_s=settings.body_timeout_s
    )
    typed = TypedAccount(
        username=form.required("username"),
        name=form.required("name"),
        password=form.required("password"),
        password_repeated=form.required("password_check"),
    )
    if not _TOKEN.fullmatch(token):
        return responder.page(InvitationGonePage(), status=410)
    await limiter.require(
        [Charge("invitation-source", request_origin.rate_limit_subject(request), limits.login_per_ip)]
    )
    result = await accept(
        token,
        typed,
        source=request_origin.address(request),
        may_use_default_password=settings.is_local,
        engine=engine,
        hashing=hashing,
    )
    match result:
        case InvitationGone():
            return responder.page(InvitationGonePage(), status=410)
        case AccountRefused(invited, errors):
            view = AcceptInvitationPage(
                action_path=f"{INVITATION_PATH}{token}",
                email=invited.email,
                username=typed.username[:USERNAME_CHARS_MAX],
                name=typed.name[:NAME_CHARS_MAX],
                errors=errors,
            )
            return responder.page(view, status=422)
        case AccountMade(user):
            try:
                csrf.check_origin(request.headers, public_origin=settings.public_origin)
                admitted = await admission.admit(
                    user, method="invitation", visit=visit_of(request, request_origin, jar)
                )
            except (csrf.CrossSiteRequestError, UnavailableError) as error:
                # The account is there in any case.
                _log.warning("invitations.not_signed_in", user_id=user.id, reason=type(error).__name__)
                return responder.redirect("/login", flash=FlashCode.ACCOUNT_MADE)
            return answer_admitted(
                admitted, responder=responder, jar=jar, lifetime_s=sessions.lifetime_s, flash=FlashCode.WELCOME
            )
        case _:
            assert_never(result)


INVITATION_HANDLERS: tuple[HTTPRouteHandler, ...] = (show_invitation, submit_account)
