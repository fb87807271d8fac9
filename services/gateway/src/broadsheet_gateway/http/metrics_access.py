"""`/metrics` stands on the public port, so it is closed unless asked for rightly.

With METRICS_TOKEN set, a request must carry it as a bearer token. Without one only a process on this machine may read
it, and only directly: a request that came through a proxy on the same machine (it carries a forwarding header) may be
anybody's. Everybody else is told that there is nothing here.
"""

import hmac

from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from broadsheet_common.http.problems import NotFoundError
from broadsheet_gateway.http.client_address import is_loopback

_FORWARDING_HEADERS = ("x-forwarded-for", "forwarded", "via", "x-real-ip")


class MetricsAccessMiddleware(ASGIMiddleware):
    scopes = (ScopeType.HTTP,)

    def __init__(self, token: str | None) -> None:
        self._token = token

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        if scope["path"] == "/metrics" and not self._may_read(scope):
            raise NotFoundError
        await next_app(scope, receive, send)

    def _may_read(self, scope: Scope) -> bool:
        headers = Headers.from_scope(scope)
        if self._token is not None:
            presented = headers.get("authorization", "").encode()
            return hmac.compare_digest(presented, f"Bearer {self._token}".encode())
        client = scope["client"]
        is_direct = not any(name in headers for name in _FORWARDING_HEADERS)
        return is_direct and client is not None and is_loopback(client[0])
