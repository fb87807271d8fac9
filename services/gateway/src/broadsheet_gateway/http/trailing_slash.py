"""One rule for slashes at the end of a path: no address of ours has one. With one, the answer is 308 to the address
without it, if that is there; else 404 as for any address that is not there.
"""

import re
from typing import Any, cast

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from broadsheet_common.http.problems import NotFoundError
from broadsheet_gateway.forwarding.route_table import API_PREFIX, find_route

# Nothing that a browser might read as another host: `//host/`, or a backslash.
_REDIRECTED = re.compile(rb"/(?!/)[A-Za-z0-9._~%/-]*")
_CATCH_ALL = "/{path}"


class NoTrailingSlash(ASGIMiddleware):
    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        http_scope = cast("HTTPScope", scope)
        raw_path = http_scope["raw_path"].partition(b"?")[0]
        if len(raw_path) < len(b"/x") or not raw_path.endswith(b"/"):
            await next_app(scope, receive, send)
            return
        target = raw_path.rstrip(b"/")
        if not target or not _REDIRECTED.fullmatch(target) or not _is_there(scope, target.decode("ascii")):
            http_scope["path"] = raw_path.decode("latin-1")
            raise NotFoundError
        query = http_scope["query_string"]
        location = target + (b"?" + query if query else b"")
        await send({"type": "http.response.start", "status": 308, "headers": [(b"location", location)]})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _is_there(scope: Scope, target: str) -> bool:
    if f"{target}/".startswith(API_PREFIX):
        return find_route(target) is not None
    return cast("dict[str, Any]", scope).get("path_template") != _CATCH_ALL
