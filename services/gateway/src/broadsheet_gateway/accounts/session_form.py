"""Forms of signed-in users: read, and checked to come from a page of their session (see csrf)."""

from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.http import csrf
from broadsheet_gateway.http.forms import Form, read_form
from broadsheet_gateway.http.responses import AnyRequest
from broadsheet_gateway.settings import FORM_BODY_MAX_BYTES, GatewaySettings


async def read_session_form(request: AnyRequest, session: Session, settings: GatewaySettings) -> Form:
    """A form that a page of this session sent; a form from another site is refused before its body is read.

    Raises:
        CrossSiteRequestError, CsrfTokenError: no page of ours sent it.
    """
    csrf.check_origin(request.headers, public_origin=settings.public_origin)
    form = await read_form(
        request.receive, request.headers, max_bytes=FORM_BODY_MAX_BYTES, timeout_s=settings.body_timeout_s
    )
    check_form_token(request, session, settings, form)
    return form


def check_form_token(request: AnyRequest, session: Session, settings: GatewaySettings, form: Form) -> None:
    csrf.check_request(
        request.headers,
        public_origin=settings.public_origin,
        session_id=session.id,
        presented_token=form.get(csrf.FORM_FIELD),
    )
