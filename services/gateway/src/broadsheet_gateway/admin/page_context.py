"""What nearly every handler below `/admin` works with, as one dependency: it has been checked that the session may open
the page (see `router`).
"""

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.accounts.session_form import read_session_form
from broadsheet_gateway.admin.service_calls import ServiceCalls
from broadsheet_gateway.forwarding.upstreams import Upstreams
from broadsheet_gateway.http.forms import FIELDS_MAX, Form
from broadsheet_gateway.http.responses import AnyRequest, Responder
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.settings import FORM_BODY_MAX_BYTES, GatewaySettings


class PageContext(msgspec.Struct, frozen=True):
    """Of one request. `calls` ask the services as the session's user."""

    request: AnyRequest
    session: Session
    responder: Responder
    settings: GatewaySettings
    calls: ServiceCalls
    upstreams: Upstreams
    engine: AsyncEngine

    @property
    def flashes(self) -> tuple[FlashCode, ...]:
        """The messages to show on this page."""
        return self.responder.flashes(self.request)

    async def read_form(self, *, max_bytes: int = FORM_BODY_MAX_BYTES, fields_max: int = FIELDS_MAX) -> Form:
        """The form that a page of this session sent. Raises as `read_session_form` does."""
        return await read_session_form(
            self.request, self.session, self.settings, max_bytes=max_bytes, fields_max=fields_max
        )
