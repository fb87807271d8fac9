"""`/login/passkey`: sign in with a passkey, without a user name."""

import secrets

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_gateway.accounts.note_sign_in import SignInNotes
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.http import csrf
from broadsheet_gateway.http.cookies import CookieJar
from broadsheet_gateway.http.forms import read_form
from broadsheet_gateway.http.request_origin import RequestOrigin
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder
from broadsheet_gateway.limits.limiter import Charge, Limiter
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.passkeys.ceremony import RelyingParty, assertion_options
from broadsheet_gateway.passkeys.challenges import LIFETIME_S, Challenges
from broadsheet_gateway.passkeys.show_passkey import PasskeyRefused, sign_in_by_passkey
from broadsheet_gateway.settings import FORM_BODY_MAX_BYTES, GatewaySettings, RateLimits
from broadsheet_gateway.sign_in.admission import Admission
from broadsheet_gateway.sign_in.answer import answer_admitted, visit_of


@post("/login/passkey/options", status_code=200, include_in_schema=False)
async def submit_sign_in_options(
    request: AnyRequest,
    settings: NamedDependency[GatewaySettings],
    limits: NamedDependency[RateLimits],
    limiter: NamedDependency[Limiter],
    request_origin: NamedDependency[RequestOrigin],
    challenges: NamedDependency[Challenges],
    relying_party: NamedDependency[RelyingParty],
    jar: NamedDependency[CookieJar],
) -> Response[bytes]:
    """The same for everybody: nobody learns who has a passkey. The body is not looked at."""
    csrf.check_origin(request.headers, public_origin=settings.public_origin)
    await limiter.require([Charge("passkey-source", request_origin.rate_limit_subject(request), limits.login_per_ip)])
    browser = secrets.token_urlsafe(32)
    made = await challenges.make("sign-in", browser)
    return Response(
        assertion_options(relying_party, challenge=made.challenge),
        media_type="application/json",
        cookies=[jar.passkey(browser, lifetime_s=LIFETIME_S)],
    )


@post("/login/passkey", include_in_schema=False)
async def submit_sign_in_passkey(
    request: AnyRequest,
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    limits: NamedDependency[RateLimits],
    limiter: NamedDependency[Limiter],
    request_origin: NamedDependency[RequestOrigin],
    engine: NamedDependency[AsyncEngine],
    sessions: NamedDependency[Sessions],
    admission: NamedDependency[Admission],
    sign_in_notes: NamedDependency[SignInNotes],
    challenges: NamedDependency[Challenges],
    relying_party: NamedDependency[RelyingParty],
    jar: NamedDependency[CookieJar],
) -> PageResponse:
    csrf.check_origin(request.headers, public_origin=settings.public_origin)
    form = await read_form(
        request.receive, request.headers, max_bytes=FORM_BODY_MAX_BYTES, timeout_s=settings.body_timeout_s
    )
    credential = form.required("credential")
    visit = visit_of(request, request_origin, jar)
    await limiter.require([Charge("passkey-source", visit.source, limits.login_per_ip)])
    result = await sign_in_by_passkey(
        credential,
        browser=request.cookies.get(jar.passkey_name),
        visit=visit,
        party=relying_party,
        challenges=challenges,
        admission=admission,
        notes=sign_in_notes,
        engine=engine,
    )
    if isinstance(result, PasskeyRefused):
        return responder.redirect("/login", flash=FlashCode.PASSKEY_REFUSED, cookies=[jar.expired(jar.passkey_name)])
    answer = answer_admitted(result, responder=responder, jar=jar, lifetime_s=sessions.lifetime_s)
    answer.set_cookie(jar.expired(jar.passkey_name))
    return answer


PASSKEY_LOGIN_HANDLERS: tuple[HTTPRouteHandler, ...] = (submit_sign_in_options, submit_sign_in_passkey)
