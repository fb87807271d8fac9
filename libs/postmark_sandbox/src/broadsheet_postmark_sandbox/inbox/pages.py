"""The web inbox at `/`: shows captured mail, without JavaScript.

It is read-only; changes are made through the control API. A mail's HTML is a document of its own under
`Content-Security-Policy: sandbox`, in a sandboxed frame without same-origin, and loads nothing.
"""

from bisect import bisect_left
from importlib.resources import files
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from jinja2 import Environment, PackageLoader, select_autoescape
from litestar import Response, Router, get
from litestar.params import FromPath

from broadsheet_postmark_sandbox.api.common import AnyRequest, query_of, sandbox_of
from broadsheet_postmark_sandbox.inbox.views import FaultView, MessageView, Row, fault_views, message_view, row_of
from broadsheet_postmark_sandbox.messages.message_log import MessageLog, StoredMessage
from broadsheet_postmark_sandbox.messages.present_message import captured, source_text

PAGE_ROWS: Final = 50
MATCHING_ADDRESSES_MAX: Final = 500
NUMBER_MAX: Final = 2**32

_PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-src 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_MAIL_POLICY: Final = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; font-src data:; form-action 'none'; frame-ancestors 'self'"
)
_HARDENED: Final = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


class ListPage(msgspec.Struct, frozen=True):
    """The content of the list; `newer` and `older` are the URLs of the neighbouring pages."""

    rows: list[Row]
    search: str
    shown: int
    newer: str | None
    older: str | None


class Inbox:
    """The page templates; created with the app."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=PackageLoader("broadsheet_postmark_sandbox"),
            autoescape=select_autoescape(),
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.style = (files("broadsheet_postmark_sandbox") / "static" / "inbox.css").read_bytes()

    def page(self, name: str, status: int = 200, **values: Any) -> Response[bytes]:
        return Response(
            self._templates.get_template(name).render(**values).encode(),
            status_code=status,
            media_type="text/html",
            headers={**_HARDENED, "Content-Security-Policy": _PAGE_POLICY, "Cache-Control": "no-store"},
        )


def _inbox(request: AnyRequest) -> Inbox:
    inbox: Inbox = request.app.state.inbox
    return inbox


@get("/")
async def list_page(request: AnyRequest) -> Response[bytes]:
    """The newest messages, PAGE_ROWS a page; `recipient` searches, `before` continues."""
    query = query_of(request)
    log = sandbox_of(request).log
    search = query.get("recipient", "").strip()
    before = _number(query.get("before"), NUMBER_MAX)
    sequences = _found(log, search)
    end = min(bisect_left(sequences, before), len(sequences))
    start = max(0, end - PAGE_ROWS)
    page = ListPage(
        rows=[row_of(log.read(sequence)) for sequence in reversed(sequences[start:end])],
        search=search,
        shown=len(sequences),
        newer=_newer(sequences, end, search),
        older=_address(search, sequences[start]) if start > 0 else None,
    )
    return _render(request, "list.html", page=page)


@get("/inbox/faults")
async def faults_page(request: AnyRequest) -> Response[bytes]:
    shown = sandbox_of(request).faults.shown()
    views: list[FaultView] = fault_views(shown)
    return _render(request, "faults.html", faults=views, seed=shown.seed)


@get("/inbox/{message_id:str}")
async def message_page(request: AnyRequest, message_id: FromPath[str]) -> Response[bytes]:
    stored = _stored(request, message_id)
    if stored is None:
        return _render(request, "missing.html", status=404)
    view: MessageView = message_view(stored, sandbox_of(request).message_events.of(stored.sequence))
    return _render(request, "message.html", mail=view)


@get("/inbox/{message_id:str}/html")
async def mail_html(request: AnyRequest, message_id: FromPath[str]) -> Response[bytes]:
    """The HTML body for the frame; links open outside the frame."""
    stored = _stored(request, message_id)
    html = None if stored is None else captured(stored).html
    return Response(
        b'<base target="_blank">' + (html or "").encode(),
        status_code=404 if html is None else 200,
        media_type="text/html",
        headers={**_HARDENED, "Content-Security-Policy": _MAIL_POLICY},
    )


@get("/inbox/{message_id:str}/source")
async def mail_source(request: AnyRequest, message_id: FromPath[str]) -> Response[bytes]:
    stored = _stored(request, message_id)
    return Response(
        b"" if stored is None else source_text(stored).encode(),
        status_code=404 if stored is None else 200,
        media_type="text/plain",
        headers={**_HARDENED, "Content-Security-Policy": "default-src 'none'; sandbox"},
    )


@get("/inbox/style.css")
async def style(request: AnyRequest) -> Response[bytes]:
    return Response(_inbox(request).style, media_type="text/css", headers=_HARDENED)


def _render(request: AnyRequest, name: str, *, status: int = 200, **values: Any) -> Response[bytes]:
    sandbox = sandbox_of(request)
    active = sum(state.active for state in sandbox.faults.shown().rules)
    return _inbox(request).page(name, status, total=len(sandbox.log), active_faults=active, **values)


def _found(log: MessageLog, search: str) -> range | list[int]:
    """The messages that match a search, oldest first. A whole address is looked up; part of an address is searched
    for.
    """
    if not search:
        return log.all_numbers()
    return log.of_recipient(search) or log.of_recipients_containing(search, MATCHING_ADDRESSES_MAX)


def _newer(sequences: range | list[int], end: int, search: str) -> str | None:
    if end >= len(sequences):
        return None
    last = end + PAGE_ROWS
    return _address(search, sequences[last] if last < len(sequences) else None)


def _address(search: str, before: int | None) -> str:
    query = {"recipient": search} if search else {}
    if before is not None:
        query["before"] = str(before)
    return "/?" + urlencode(query) if query else "/"


def _number(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 11 else default  # noqa: PLR2004


def _stored(request: AnyRequest, message_id: str) -> StoredMessage | None:
    return sandbox_of(request).log.find(message_id)


def inbox_router() -> Router:
    return Router(path="/", route_handlers=[list_page, faults_page, message_page, mail_html, mail_source, style])
