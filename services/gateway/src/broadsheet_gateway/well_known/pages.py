"""The addresses below `/.well-known/`."""

from datetime import UTC, datetime
from typing import Final

from litestar import Response, route
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect

from broadsheet_common.http.problems import NotFoundError
from broadsheet_gateway.settings import GatewaySettings
from broadsheet_gateway.well_known.security_txt import PATH, security_txt

PASSWORD_PAGE: Final = "/admin/password"  # noqa: S105  # an address


@route(PATH, http_method=["GET", "HEAD"], include_in_schema=False)
async def show_security_txt(settings: NamedDependency[GatewaySettings]) -> Response[str]:
    """Raises NotFoundError where no contact is set."""
    contacts = settings.parse_security_contacts()
    if not contacts:
        raise NotFoundError
    text = security_txt(
        contacts, policy=settings.security_policy_url, public_url=str(settings.public_url), now=datetime.now(UTC)
    )
    return Response(text, media_type="text/plain", headers={"Cache-Control": "public, max-age=86400"})


@route("/.well-known/change-password", http_method=["GET", "HEAD"], include_in_schema=False)
async def go_to_change_password() -> Redirect:
    """Where password managers send people (W3C, A Well-Known URL for Changing Passwords)."""
    return Redirect(PASSWORD_PAGE, status_code=302)


WELL_KNOWN_HANDLERS: list[HTTPRouteHandler] = [show_security_txt, go_to_change_password]
