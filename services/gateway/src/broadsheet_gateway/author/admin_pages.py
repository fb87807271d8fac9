"""The author's pages under `/admin`: each needs a session, and redirects to `/login` without one."""

import asyncio
from typing import assert_never

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_gateway.access.page_access import SIGNED_IN, SIGNED_IN_WITHOUT_FACTOR, needs
from broadsheet_gateway.accounts.change_password import (
    CurrentPasswordWrong,
    NewPasswordRefused,
    PasswordChanged,
    change_password,
)
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.accounts.note_sign_in import SignInNotes
from broadsheet_gateway.accounts.password import PasswordFault
from broadsheet_gateway.accounts.password_hashing import PasswordHashing
from broadsheet_gateway.accounts.session_form import read_session_form
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.author.issue_overview import (
    ask_issue,
    ask_issues,
    ask_senders,
    ask_unsent,
    or_none,
    parse_issue_id,
    with_author_name,
)
from broadsheet_gateway.author.issue_views import IssueProgress, progress_of
from broadsheet_gateway.forwarding.upstreams import Upstreams
from broadsheet_gateway.http import csrf
from broadsheet_gateway.http.cookies import CookieJar
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder
from broadsheet_gateway.limits.limiter import Charge, Limiter
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.pages.views import DashboardPage, IssuePage, PasswordPage
from broadsheet_gateway.settings import GatewaySettings, RateLimits

_FLASH_OF_FAULT = {
    PasswordFault.MISMATCH: FlashCode.PASSWORDS_DIFFER,
    PasswordFault.LENGTH: FlashCode.PASSWORD_LENGTH,
}
"""As the original answers; the others are explained at the field."""


@get("/dashboard", include_in_schema=False, opt=SIGNED_IN)
async def show_dashboard(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    upstreams: NamedDependency[Upstreams],
) -> PageResponse:
    cursor = request.query_params.get("cursor")
    issues, senders = await asyncio.gather(
        or_none(ask_issues(upstreams, session, cursor=cursor)), or_none(ask_senders(upstreams, session))
    )
    return responder.page(
        DashboardPage(
            signed_in=session.signed_in,
            flashes=responder.flashes(request),
            issues=None if issues is None else tuple(issues.items),
            older_cursor=None if issues is None else issues.next_cursor,
            is_first_page=not cursor,
            senders=senders,
        )
    )


@get("/issues/{issue_id:str}", include_in_schema=False, opt=needs("issues:read"))
async def show_issue(
    request: AnyRequest,
    issue_id: FromPath[str],
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    upstreams: NamedDependency[Upstreams],
    engine: NamedDependency[AsyncEngine],
) -> PageResponse:
    issue = await with_author_name(await ask_issue(upstreams, session, parse_issue_id(issue_id)), engine)
    view = IssuePage(signed_in=session.signed_in, flashes=responder.flashes(request), issue=issue)
    if issue.status.has_progress:
        senders, unsent = await asyncio.gather(
            or_none(ask_senders(upstreams, session)), or_none(ask_unsent(upstreams, session, issue.id, issue.counts))
        )
        view = msgspec.structs.replace(view, senders=senders, unsent=unsent)
    return responder.page(view)


@get("/issues/{issue_id:str}/progress", include_in_schema=False, opt=needs("issues:read"))
async def show_progress(
    issue_id: FromPath[str], session: NamedDependency[Session], upstreams: NamedDependency[Upstreams]
) -> IssueProgress:
    """JSON, requested every second by pages that show an issue in progress."""
    return progress_of(await ask_issue(upstreams, session, parse_issue_id(issue_id)))


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


@post("/logout", include_in_schema=False, opt=SIGNED_IN_WITHOUT_FACTOR)
async def submit_logout(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    sessions: NamedDependency[Sessions],
    sign_in_notes: NamedDependency[SignInNotes],
    jar: NamedDependency[CookieJar],
) -> PageResponse:
    """The original's logout has no body; a form's carries the token."""
    if request.headers.get("content-type"):
        await read_session_form(request, session, settings)
    else:
        csrf.check_request(
            request.headers, public_origin=settings.public_origin, session_id=session.id, presented_token=None
        )
    await sessions.end(session.id)
    await sign_in_notes.signed_out(session.user_id, address=session.address)
    return responder.redirect("/login", flash=FlashCode.LOGGED_OUT, cookies=[jar.expired(jar.session_name)])


ADMIN_PAGE_HANDLERS: tuple[HTTPRouteHandler, ...] = (
    show_dashboard, show_issue, show_progress, show_password, submit_password, submit_logout,
)  # fmt: skip
