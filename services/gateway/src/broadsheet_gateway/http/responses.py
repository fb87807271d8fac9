"""Answers of page routes: a rendered view, or a redirect, with the flash that belongs to either."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from litestar import Request, Response
from litestar.datastructures import Cookie

from broadsheet_gateway.http.cookies import CookieJar
from broadsheet_gateway.http.flash import flash_cookie, read_flash
from broadsheet_gateway.pages import FlashCode, Pages
from broadsheet_gateway.pages.views import PageView

HTML = "text/html"
"""Litestar adds the charset."""

CONFIRM_PATH: Final = "/admin/confirm"
"""Where somebody proves again who they are; `?next=` is the page to come back to."""

AnyRequest = Request[Any, Any, Any]
PageResponse = Response[str]


class Responder:
    def __init__(self, pages: Pages, jar: CookieJar) -> None:
        self._pages = pages
        self._jar = jar

    def flashes(self, request: AnyRequest) -> tuple[FlashCode, ...]:
        """The messages to show on this page; `page` deletes them from the browser as it shows them."""
        return read_flash(request.cookies.get(self._jar.flash_name))

    @property
    def flash_name(self) -> str:
        """The cookie that holds the messages for the next page."""
        return self._jar.flash_name

    def page(self, view: PageView, *, status: int = 200, headers: Mapping[str, str] | None = None) -> PageResponse:
        return Response(
            self._pages.render(view),
            status_code=status,
            media_type=HTML,
            headers={**policy_of(view), **(headers or {})},
            cookies=[self._jar.expired(self._jar.flash_name)] if view.flashes else [],
        )

    def render(self, view: PageView) -> str:
        """A page's text, to be kept: without flashes, and the same for everybody."""
        return self._pages.render(view)

    def rendered(self, page: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[bytes]:
        """The answer with a page that was rendered before."""
        return Response(page, status_code=status, media_type=HTML, headers=dict(headers or {}))

    def redirect(self, path: str, *, flash: FlashCode | None = None, cookies: Sequence[Cookie] = ()) -> PageResponse:
        """303: whatever the method was, the next page is fetched with GET. `path` is one of ours, never input."""
        flashes = [flash_cookie(self._jar, flash)] if flash is not None else []
        return Response("", status_code=303, media_type=HTML, headers={"Location": path}, cookies=[*flashes, *cookies])

    def ask_for_proof(self, next_path: str) -> PageResponse:
        """What a form is answered that needs a recent proof where there is none: nothing was done. `next_path` is the
        page of the form.
        """
        return self.redirect(f"{CONFIRM_PATH}?next={quote(next_path)}", flash=FlashCode.PROOF_NEEDED)


def policy_of(view: PageView) -> dict[str, str]:
    """The header of a page that needs a content policy of its own."""
    return {"Content-Security-Policy": view.content_policy} if view.content_policy else {}
