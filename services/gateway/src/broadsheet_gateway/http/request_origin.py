"""The origin of a request: for rate limits, and for the consent record."""

from collections.abc import Sequence
from typing import Any

from litestar.connection import ASGIConnection

from broadsheet_gateway.http.browser_name import browser_name
from broadsheet_gateway.http.client_address import (
    UNKNOWN,
    ForwardingHeader,
    Network,
    client_address,
    rate_limit_subject,
)
from broadsheet_gateway.http.responses import AnyRequest

USER_AGENT_CHARS_MAX = 500


class RequestOrigin:
    """The client's address, as far as the configured proxies let it be known."""

    def __init__(self, trusted_proxies: Sequence[Network], *, believed: ForwardingHeader) -> None:
        self._trusted = trusted_proxies
        self._believed = believed

    def rate_limit_subject(self, connection: ASGIConnection[Any, Any, Any, Any]) -> str:
        return rate_limit_subject(self._address(connection))

    def browser(self, connection: ASGIConnection[Any, Any, Any, Any]) -> str:
        """A short name of the program, as it calls itself."""
        return browser_name(connection.headers.get("user-agent", "")[:USER_AGENT_CHARS_MAX])

    def address(self, connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
        """The client's address; None if it is not known."""
        address = self._address(connection)
        return None if address == UNKNOWN else address

    def visitor(self, request: AnyRequest) -> dict[str, str | None]:
        """What the record of consent keeps of whoever sent the request."""
        return {
            "ip": self.address(request),
            "user_agent": request.headers.get("user-agent", "")[:USER_AGENT_CHARS_MAX] or None,
        }

    def _address(self, connection: ASGIConnection[Any, Any, Any, Any]) -> str:
        peer = connection.client.host if connection.client is not None else None
        return client_address(peer, connection.headers, self._trusted, believed=self._believed)
