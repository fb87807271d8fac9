"""What a browser is answered when somebody has proved who they are: a session, or the page for the second factor."""

from typing import Final, assert_never

from broadsheet_gateway.http.cookies import CookieJar
from broadsheet_gateway.http.request_origin import RequestOrigin
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.sign_in.admission import Admitted, NotAdmitted, SecondFactorNeeded, SignedIn, Visit
from broadsheet_gateway.sign_in.half_sign_ins import LIFETIME_S

SECOND_FACTOR_PATH: Final = "/login/second-factor"


def visit_of(request: AnyRequest, request_origin: RequestOrigin, jar: CookieJar) -> Visit:
    return Visit(
        source=request_origin.rate_limit_subject(request),
        browser=request_origin.browser(request),
        address=request_origin.address(request),
        earlier_session_id=request.cookies.get(jar.session_name),
    )


def answer_admitted(
    admitted: Admitted,
    *,
    responder: Responder,
    jar: CookieJar,
    lifetime_s: int,
    flash: FlashCode | None = None,
) -> PageResponse:
    """`lifetime_s`: of sessions. `flash`: what to say on the first page inside."""
    match admitted:
        case SignedIn(session_id):
            cookies = [jar.session(session_id, lifetime_s=lifetime_s), jar.expired(jar.half_sign_in_name)]
            return responder.redirect("/admin/dashboard", flash=flash, cookies=cookies)
        case SecondFactorNeeded(token):
            return responder.redirect(SECOND_FACTOR_PATH, cookies=[jar.half_sign_in(token, lifetime_s=LIFETIME_S)])
        case NotAdmitted():
            return responder.redirect("/login", flash=FlashCode.AUTHENTICATION_FAILED)
        case _:
            assert_never(admitted)
