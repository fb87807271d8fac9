"""`/admin/exports`: subscribers as a file. The file itself comes from the API, with the session."""

from typing import Final
from urllib.parse import urlencode

from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler

from broadsheet_common.http.problems import InvalidInputError
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.admin.exports.views import FORMATS, STATES, ExportsPage
from broadsheet_gateway.admin.newsletter_facts import ask_known_newsletters
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.http.responses import PageResponse

EXPORTS_PATH: Final = "/admin/exports"
_NEEDS: Final = needs("subscribers:export", everywhere=True)
_ID_DIGITS_MAX: Final = 18


@get("/exports", include_in_schema=False, opt=_NEEDS)
async def show_exports(
    context: NamedDependency[PageContext],
) -> PageResponse:
    return context.responder.page(
        ExportsPage(
            signed_in=context.session.signed_in,
            flashes=context.flashes,
            newsletters=await ask_known_newsletters(context.calls) if context.session.is_recent else (),
            is_recent=context.session.is_recent,
        )
    )


@post("/exports", include_in_schema=False, opt=_NEEDS)
async def submit_export(
    context: NamedDependency[PageContext],
) -> PageResponse:
    """Leads to the API's own address of the file: the API records the export, streams it, and asks for the proof."""
    form = await context.read_form()
    if not context.session.is_recent:
        return context.responder.ask_for_proof(EXPORTS_PATH)
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
            signed_in=context.session.signed_in,
            newsletters=await ask_known_newsletters(context.calls),
            format=export_format,
            errors=errors,
        )
        return context.responder.page(view, status=InvalidInputError.status)
    query = {"format": export_format, "newsletter_id": newsletter, "state": state}
    given = urlencode({name: value for name, value in query.items() if value})
    return context.responder.redirect(f"/api/v1/exports/subscribers?{given}")


EXPORT_HANDLERS: tuple[HTTPRouteHandler, ...] = (show_exports, submit_export)
