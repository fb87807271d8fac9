"""`POST /admin/logout`: the session of this browser ends."""

from litestar import post
from litestar.di import NamedDependency

from broadsheet_gateway.access.page_access import SIGNED_IN_WITHOUT_FACTOR
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.accounts.note_sign_in import SignInNotes
from broadsheet_gateway.accounts.session_form import read_session_form
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.http import csrf
from broadsheet_gateway.http.cookies import CookieJar
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.settings import GatewaySettings


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
