"""Every link and every form of every page leads to something that is there, whichever room made either."""

import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from broadsheet_gateway.pages import Pages
from broadsheet_gateway.pages.preview_samples import sample_pages

from ..conftest import Gateway

_LINK = re.compile(r'<a [^>]*?href="([^"]+)"')
_FORM = re.compile(r'<form [^>]*?method="(get|post)"[^>]*?action="([^"]+)"')
_BUTTON = re.compile(r'<button [^>]*?formaction="([^"]+)"')
_NOT_OURS = ("/openapi.json", "/static/", "/api/v1/")
"""Not pages: documents, assets, and what the services answer."""


def _routes(app: Litestar) -> Iterator[tuple[re.Pattern[str], set[str]]]:
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        methods: set[str] = set()
        for handler in route.route_handlers:
            assert isinstance(handler, HTTPRouteHandler)
            # Those that say that nothing is there are not there.
            if not (handler.name or "").startswith("refusal of"):
                methods |= {str(method) for method in handler.http_methods}
        yield re.compile(re.sub(r"\\\{[^}]*\\\}|\{[^}]*\}", "[^/]+", re.escape(route.path_format))), methods


async def test_every_link_and_form_leads_somewhere(gateway: Gateway, pages: Pages) -> None:
    routes = list(_routes(gateway.app))
    lost = []
    for name, view in sample_pages().items():
        html = pages.render(view)
        found = [("GET", address) for address in _LINK.findall(html)]
        found += [(method.upper(), address) for method, address in _FORM.findall(html)]
        found += [("POST", address) for address in _BUTTON.findall(html)]
        assert found, name
        for method, address in found:
            path = unquote(urlsplit(address.replace("&amp;", "&")).path)
            if not address.startswith("/") or path.startswith(_NOT_OURS):
                continue
            if not any(pattern.fullmatch(path) and method in methods for pattern, methods in routes):
                lost.append((name, method, address))
    assert lost == []
