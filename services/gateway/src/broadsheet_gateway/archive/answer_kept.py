"""Answers articles that are kept without going through routing's handlers: half the work of an answer.

Everything around a handler still holds: the log line and the metrics, the security headers, HEAD and 304.
"""

import re
from typing import cast

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from broadsheet_gateway.archive.page_cache import KeptPage
from broadsheet_gateway.archive.pages import ArchiveDesk

_ARTICLE = re.compile(rb"/newsletters/([a-z0-9][a-z0-9-]{0,99})/issues/([a-z0-9][a-z0-9-]{0,99})(?:\?.*)?")


class AnswerKeptMiddleware(ASGIMiddleware):
    scopes = (ScopeType.HTTP,)

    def __init__(self, desk: ArchiveDesk) -> None:
        self._desk = desk

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        page = self._find(cast("HTTPScope", scope))
        if page is None:
            await next_app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": list(page.raw_headers)})
        await send({"type": "http.response.body", "body": page.body, "more_body": False})

    def _find(self, scope: HTTPScope) -> KeptPage | None:
        path = scope["raw_path"]
        if scope["method"] != "GET" or not path.startswith(b"/newsletters/"):
            return None
        found = _ARTICLE.fullmatch(path)
        return None if found is None else self._desk.kept_article(found[1].decode(), found[2].decode())
