"""Answers the sign-up's form and its page without going through routing's handlers, which are half of their work.

Everything around a handler still holds: the log line and the metrics, the security headers, HEAD and 304, the problems
that are raised. What is not plain (a message to show on the page, another method) takes the usual way.
"""

from typing import Any, cast

from litestar import Request, Response
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from broadsheet_gateway.sign_up.newsletter_directory import HOME_PATH
from broadsheet_gateway.sign_up.pages import NEWSLETTER_PATH, SignUpDesk

_Headers = list[tuple[bytes, bytes]]


class SignUpMiddleware(ASGIMiddleware):
    scopes = (ScopeType.HTTP,)

    def __init__(self, desk: SignUpDesk) -> None:
        self._desk = desk

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        response = await self._answer(cast("HTTPScope", scope), receive, send)
        if response is None:
            await next_app(scope, receive, send)
            return
        if isinstance(response.content, bytes) and not response.cookies:
            await _send_bytes(response, send)
            return
        request: Request[Any, Any, Any] = Request(scope)
        await response.to_asgi_response(app=None, request=request)(scope, receive, send)

    async def _answer(self, scope: HTTPScope, receive: Receive, send: Send) -> Response[Any] | None:
        template, method = scope.get("path_template"), scope["method"]
        if method == "GET":
            if template == "/" and not self._desk.has_flash(scope):
                return await self._desk.home_page()
            if template == NEWSLETTER_PATH:
                return await self._desk.newsletter_page(_slug(scope))
        elif method == "POST":
            request: Request[Any, Any, Any]
            if template == HOME_PATH:
                request = Request(scope, receive, send)
                return await self._desk.sign_up_to_default(request)
            if template == NEWSLETTER_PATH:
                request = Request(scope, receive, send)
                return await self._desk.sign_up_to(request, _slug(scope))
        return None


def _slug(scope: HTTPScope) -> str:
    slug: str = scope["path_params"]["slug"]
    return slug


async def _send_bytes(response: Response[bytes], send: Send) -> None:
    headers: _Headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in response.headers.items()]
    headers.append((b"content-type", f"{response.media_type}; charset={response.encoding}".encode()))
    headers.append((b"content-length", str(len(response.content)).encode()))
    await send({"type": "http.response.start", "status": response.status_code or 200, "headers": headers})
    await send({"type": "http.response.body", "body": response.content, "more_body": False})
