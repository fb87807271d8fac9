"""`/metrics` is on the public port, so it is closed unless METRICS_TOKEN is set and sent as a bearer token.

Without a token nobody may read it: behind a proxy on the same machine, the source of a request proves nothing.
Everybody else gets 404.
"""

import hmac

import structlog
from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from broadsheet_common.http.problems import NotFoundError

_log = structlog.get_logger()


class MetricsAccessMiddleware(ASGIMiddleware):
    scopes = (ScopeType.HTTP,)

    def __init__(self, token: str | None) -> None:
        self._token = token

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        if scope.get("path_template") == "/metrics" and not self._may_read(scope):
            raise NotFoundError
        await next_app(scope, receive, send)

    def _may_read(self, scope: Scope) -> bool:
        presented = Headers.from_scope(scope).get("authorization", "")
        if self._token is None:
            return False
        if hmac.compare_digest(presented.encode(), f"Bearer {self._token}".encode()):
            return True
        if presented:
            _log.warning("security.metrics_token_refused")
        return False
