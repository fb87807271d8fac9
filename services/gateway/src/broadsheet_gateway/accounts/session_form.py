"""Forms of signed-in users: read, and checked to come from a page of their session (see csrf)."""

from broadsheet_common.http.problems import ForbiddenError
from broadsheet_gateway.access.page_access import require_page_access
from broadsheet_gateway.accounts.current_session import CurrentSession, LoginNeededError, Session
from broadsheet_gateway.http import csrf
from broadsheet_gateway.http.forms import FIELDS_MAX, Form, read_form
from broadsheet_gateway.http.responses import AnyRequest
from broadsheet_gateway.settings import FORM_BODY_MAX_BYTES, GatewaySettings

CURRENT_SESSION = "current_session"
"""Under this name the router of `/admin` leaves in the request's state how its session is found."""


async def read_session_form(
    request: AnyRequest,
    session: Session,
    settings: GatewaySettings,
    *,
    max_bytes: int = FORM_BODY_MAX_BYTES,
    fields_max: int = FIELDS_MAX,
) -> Form:
    """A form that a page of this session sent; a form from another site is refused before its body is read.

    Raises:
        CrossSiteRequestError, CsrfTokenError: no page of ours sent it.
        LoginNeededError, SecondFactorNeededError, ForbiddenError: see `require_still_allowed`.
    """
    csrf.check_origin(request.headers, public_origin=settings.public_origin)
    form = await read_form(
        request.receive,
        request.headers,
        max_bytes=max_bytes,
        timeout_s=settings.body_timeout_s,
        fields_max=fields_max,
    )
    check_form_token(request, session, settings, form)
    await require_still_allowed(request, session)
    return form


def check_form_token(request: AnyRequest, session: Session, settings: GatewaySettings, form: Form) -> None:
    csrf.check_request(
        request.headers,
        public_origin=settings.public_origin,
        session_id=session.id,
        presented_token=form.get(csrf.FORM_FIELD),
    )


async def require_still_allowed(request: AnyRequest, session: Session) -> None:
    """For when the body has arrived. It may take its time, and what ended the session meanwhile, or took a role from
    its user, must hold for it too: whoever keeps a request under way would come back by it.

    Raises:
        LoginNeededError: the session has ended.
        SecondFactorNeededError: its user must first set a second factor up now.
        ForbiddenError: its user may do something else than before.
    """
    current_session: CurrentSession = request.state[CURRENT_SESSION]
    now = await current_session.find(request.cookies, is_use=False)
    if now is None:
        raise LoginNeededError
    require_page_access(request, now.rights, must_set_up_factor=now.must_set_up_factor)
    if now.rights != session.rights:
        raise ForbiddenError("Your roles were changed while this was on its way. Load the page again.")
