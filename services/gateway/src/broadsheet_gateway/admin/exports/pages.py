"""`/admin/exports`: subscribers as a file. The file itself comes from the API, with the session."""

from typing import Final
from urllib.parse import urlencode

from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler

from broadsheet_common.http.problems import InvalidInputError
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.accounts.session_form import read_session_form
from broadsheet_gateway.admin.exports.views import FORMATS, STATES, ExportsPage
from broadsheet_gateway.admin.newsletter_facts import ask_known_newsletters
from broadsheet_gateway.admin.service_calls import ServiceCalls
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder
from broadsheet_gateway.settings import GatewaySettings

EXPORTS_PATH: Final = "/admin/exports"
_NEEDS: Final = needs("subscribers:export", everywhere=True)
_ID_DIGITS_MAX: Final = 18


@get("/exports", include_in_schema=False, opt=_NEEDS)
async def show_exports(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    calls: NamedDependency[ServiceCalls],
) -> PageResponse:
    return responder.page(
        ExportsPage(
            signed_in=session.signed_in,
            flashes=responder.flashes(request),
            newsletters=await ask_known_newsletters(calls) if session.is_recent else (),
            is_recent=session.is_recent,
        )
    )


@post("/exports", include_in_schema=False, opt=_NEEDS)
async def submit_export(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    calls: NamedDependency[ServiceCalls],
) -> PageResponse:
    """Leads to the API's own address of the file: the API records the export, streams it, and asks for the proof."""
    form = await read_session_form(request, session, settings)
    if not session.is_recent:
        return responder.ask_for_proof(EXPORTS_PATH)
    export_format, newsletter, state = form.text("format"), form.text("newsletter"), form.text("state")
    errors: dict[str, str] = {}
    if export_format not in {value for value, _, _ in FORMATS}:
        export_format = FORMATS[0][0]
    if newsletter and not (newsletter.isascii() and newsletter.isdigit() and len(newsletter) <= _ID_DIGITS_MAX):
        errors["newsletter"] = "Choose one of the list."
    if state not in {value for value, _ in STATES}:
        errors["state"] = "Choose one of the list."
    if errors:
        view = ExportsPage(
            signed_in=session.signed_in,
            newsletters=await ask_known_newsletters(calls),
            format=export_format,
            errors=errors,
        )
        return responder.page(view, status=InvalidInputError.status)
    query = {"format": export_format, "newsletter_id": newsletter, "state": state}
    given = urlencode({name: value for name, value in query.items() if value})
    return responder.redirect(f"/api/v1/exports/subscribers?{given}")


EXPORT_HANDLERS: tuple[HTTPRouteHandler, ...] = (show_exports, submit_export)
