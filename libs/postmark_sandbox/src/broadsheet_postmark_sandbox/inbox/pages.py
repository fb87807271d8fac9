"""The web inbox at `/`: shows captured mail as a mail program does, also without scripts.

A mail's HTML is a document of its own under `Content-Security-Policy: sandbox`, in a sandboxed frame without
same-origin: it runs no scripts, sends no forms, and has no origin. Its remote pictures are loaded, without a referrer.
"""

import asyncio
import base64
import binascii
import re
from importlib.resources import files
from typing import Any, Final

import msgspec
from jinja2 import Environment, PackageLoader, select_autoescape
from litestar import Response, Router, get, post
from litestar.exceptions import HTTPException
from litestar.params import FromPath

from broadsheet_postmark_sandbox.api.common import AnyRequest, query_of, sandbox_of
from broadsheet_postmark_sandbox.events.bounces import BOUNCE_TYPES
from broadsheet_postmark_sandbox.events.send_events import EventRequest, QueueFullError, send_event
from broadsheet_postmark_sandbox.inbox.event_form import read_event_form
from broadsheet_postmark_sandbox.inbox.find_mail import Found, Search, find_mail, matching, parse_search
from broadsheet_postmark_sandbox.inbox.views import FaultView, fault_views, mail_view, row_of
from broadsheet_postmark_sandbox.messages.message_log import MessageLog, StoredMessage
from broadsheet_postmark_sandbox.messages.present_message import captured, source_text

TAGS_OFFERED_MAX: Final = 100

_PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data:; "
    "form-action 'self'; frame-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_MAIL_POLICY: Final = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data: http: https:; font-src data:; form-action 'none'; frame-ancestors 'self'"
)
_NO_DOCUMENT: Final = "default-src 'none'; sandbox; frame-ancestors 'none'"
_HARDENED: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_DOCTYPE: Final = re.compile(r"\s*<!doctype[^>]{0,300}>", re.IGNORECASE)
_STATIC: Final = {"style.css": ("inbox.css", "text/css"), "inbox.js": ("inbox.js", "text/javascript")}


class NewMail(msgspec.Struct, frozen=True):
    """What the script compares: the newest message that matches (0: none), the number of all, and which log it is."""

    newest: int
    total: int
    generation: int


class Inbox:
    """The page templates and static files; created with the app."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=PackageLoader("broadsheet_postmark_sandbox"),
            autoescape=select_autoescape(),
            trim_blocks=True,
            lstrip_blocks=True,
        )
        folder = files("broadsheet_postmark_sandbox") / "static"
        self.static = {name: (folder / source).read_bytes() for name, (source, _) in _STATIC.items()}

    def page(self, name: str, status: int = 200, **values: Any) -> Response[bytes]:
        return Response(
            self._templates.get_template(name).render(**values).encode(errors="replace"),
            status_code=status,
            media_type="text/html",
            headers={**_HARDENED, "Content-Security-Policy": _PAGE_POLICY},
        )


def _inbox(request: AnyRequest) -> Inbox:
    inbox: Inbox = request.app.state.inbox
    return inbox


@get("/")
async def list_page(request: AnyRequest) -> Response[bytes]:
    """The newest mails, PAGE_ROWS a page; `recipient` and `tag` search, `before` continues."""
    return _render(request, "inbox.html", mail=None)


@get("/inbox/new")
async def new_mail(request: AnyRequest) -> Response[bytes]:
    """What the page's script asks for every two seconds. Raises nothing for any search."""
    log = sandbox_of(request).log
    found = matching(log, parse_search(query_of(request)))
    return Response(
        msgspec.json.encode(NewMail(found[-1] if found else 0, len(found), log.generation)),
        media_type="application/json",
        headers=_HARDENED,
    )


@get("/inbox/faults")
async def faults_page(request: AnyRequest) -> Response[bytes]:
    shown = sandbox_of(request).faults.shown()
    views: list[FaultView] = fault_views(shown)
    return _render(request, "faults.html", faults=views, seed=shown.seed)


@get("/inbox/{message_id:str}")
async def mail_page(request: AnyRequest, message_id: FromPath[str]) -> Response[bytes]:
    """The list with one mail beside it; `view` chooses how the mail is shown."""
    stored = _stored(request, message_id)
    if stored is None:
        return _render(request, "missing.html", status=404)
    events = sandbox_of(request).message_events.of(stored.sequence)
    # In a thread: the largest mails would keep the Postmark API waiting.
    mail = await asyncio.to_thread(mail_view, stored, events, query_of(request).get("view", ""))
    return _render(
        request,
        "inbox.html",
        mail=mail,
        bounce_types=[kind for kind in BOUNCE_TYPES.values() if kind.type != "SpamComplaint"],
        webhooks=len(sandbox_of(request).targets),
    )


@post("/inbox/{message_id:str}/events")
async def submit_event(request: AnyRequest, message_id: FromPath[str]) -> Response[bytes]:
    """Make an event happen to the mail, as the control API does, and show the mail's events; or why it did not."""
    stored = _stored(request, message_id)
    if stored is None:
        return _render(request, "missing.html", status=404)
    try:
        wanted: EventRequest = read_event_form(await request.body(), stored)
        send_event(sandbox_of(request), wanted)
    except QueueFullError as full:
        return _render(request, "refused.html", status=503, reason=str(full), message_id=stored.message_id)
    except ValueError as bad:
        return _render(request, "refused.html", status=400, reason=str(bad), message_id=stored.message_id)
    search = parse_search(query_of(request)).query
    back = f"/inbox/{stored.message_id}{search}{'&' if search else '?'}view=events"
    return Response(b"", status_code=303, headers={**_HARDENED, "Location": back})


@get("/inbox/{message_id:str}/html")
async def mail_html(request: AnyRequest, message_id: FromPath[str]) -> Response[bytes]:
    """The HTML body for the frame; links open outside the frame."""
    stored = _stored(request, message_id)
    html = None if stored is None else captured(stored).html
    return Response(
        _with_target(html or "").encode(errors="replace"),
        status_code=404 if html is None else 200,
        media_type="text/html",
        headers={**_HARDENED, "Content-Security-Policy": _MAIL_POLICY},
    )


@get("/inbox/{message_id:str}/source")
async def mail_source(request: AnyRequest, message_id: FromPath[str]) -> Response[bytes]:
    """The whole source, however long."""
    stored = _stored(request, message_id)
    return Response(
        b"" if stored is None else (await asyncio.to_thread(source_text, stored)).encode(errors="replace"),
        status_code=404 if stored is None else 200,
        media_type="text/plain",
        headers={**_HARDENED, "Content-Security-Policy": _NO_DOCUMENT},
    )


@get("/inbox/{message_id:str}/attachments/{number:int}")
async def attachment(request: AnyRequest, message_id: FromPath[str], number: FromPath[int]) -> Response[bytes]:
    """A file to save: never shown, whatever its type says."""
    stored = _stored(request, message_id)
    found = captured(stored).attachments if stored is not None else ()
    if not 0 <= number < len(found):
        return _render(request, "missing.html", status=404)
    try:
        content = base64.b64decode(found[number].content)
    except binascii.Error as wrong:
        raise HTTPException(status_code=400, detail="the attachment is not base64") from wrong
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", found[number].name)[:100] or "attachment"
    return Response(
        content,
        media_type="application/octet-stream",
        headers={
            **_HARDENED,
            "Content-Disposition": f'attachment; filename="{safe}"',
            "Content-Security-Policy": _NO_DOCUMENT,
        },
    )


@get(["/inbox/style.css", "/inbox/inbox.js"])
async def static_file(request: AnyRequest) -> Response[bytes]:
    name = request.scope["path"].rpartition("/")[2]
    headers = {**_HARDENED, "Cache-Control": "no-cache"}
    return Response(_inbox(request).static[name], media_type=_STATIC[name][1], headers=headers)


def _with_target(html: str) -> str:
    """The HTML with a target for its links, behind its doctype: before it, the mail would be shown in quirks mode."""
    doctype = _DOCTYPE.match(html)
    start = doctype.end() if doctype else 0
    return f'{html[:start]}<base target="_blank">{html[start:]}'


def _render(request: AnyRequest, name: str, *, status: int = 200, **values: Any) -> Response[bytes]:
    sandbox = sandbox_of(request)
    active = sum(state.active for state in sandbox.faults.shown().rules)
    search = parse_search(query_of(request))
    log: MessageLog = sandbox.log
    found: Found = find_mail(log, search)
    return _inbox(request).page(
        name,
        status,
        total=len(log),
        active_faults=active,
        search=search,
        found=found,
        rows=[row_of(log.read(sequence)) for sequence in found.sequences],
        tags=_tags(log, search),
        generation=log.generation,
        **values,
    )


def _tags(log: MessageLog, search: Search) -> list[tuple[str, int]]:
    """What the list of tags offers: those that came up last, and the one that was searched for."""
    tags = log.newest_tags(TAGS_OFFERED_MAX)
    if search.tag and search.tag not in {tag for tag, _ in tags}:
        tags.append((search.tag, len(log.of_tag(search.tag))))
    return tags


def _stored(request: AnyRequest, message_id: str) -> StoredMessage | None:
    return sandbox_of(request).log.find(message_id)


def inbox_router() -> Router:
    return Router(
        path="/",
        route_handlers=[
            list_page, new_mail, faults_page, mail_page, submit_event, mail_html, mail_source, attachment, static_file,
        ],
    )  # fmt: skip
