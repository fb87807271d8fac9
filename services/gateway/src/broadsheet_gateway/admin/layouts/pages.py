"""`/admin/settings/layouts`: list, make, change and delete layouts."""

import asyncio
import secrets
from typing import Final

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from broadsheet_common.http.entity_tag import PreconditionFailedError
from broadsheet_common.http.pagination import Page
from broadsheet_common.http.problems import NotFoundError, UnavailableError
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.deleted_page import DeletedPage
from broadsheet_gateway.admin.layouts.layout import STARTER, Layout, faults_of
from broadsheet_gateway.admin.layouts.views import LayoutPage, LayoutRow, LayoutsPage
from broadsheet_gateway.admin.newsletter_facts import NewsletterFacts, ask_newsletters
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.service_calls import ServiceCalls, or_none, parse_id, refusal_sentence, refused_fields
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError, UpstreamTimeoutError
from broadsheet_gateway.http.forms import Form
from broadsheet_gateway.http.responses import PageResponse, Responder
from broadsheet_gateway.pages import FlashCode

LAYOUTS_PATH: Final = "/admin/settings/layouts"
LAYOUTS_SHOWN: Final = 50
NEWSLETTERS_ASKED_MAX: Final = 200
FORM_MAX_BYTES: Final = 2 * 1024 * 1024
"""The API takes a source of 500,000 bytes; a form writes some of them as three."""
_API: Final = "/api/v1/layouts"
_READS: Final = needs("layouts:read")
_WRITES: Final = needs("layouts:read", "layouts:write", everywhere=True)


@get("/settings/layouts", include_in_schema=False, opt=_READS)
async def show_layouts(
    context: NamedDependency[PageContext],
) -> PageResponse:
    query = {"limit": LAYOUTS_SHOWN, "cursor": context.request.query_params.get("cursor")}
    found, newsletters = await asyncio.gather(
        or_none(context.calls.get("publishing", _API, Page[Layout], query)),
        or_none(ask_newsletters(context.calls, with_archived=True)),
    )
    view = LayoutsPage(
        signed_in=context.session.signed_in,
        flashes=context.flashes,
        layouts=None if found is None else tuple(_row(one, newsletters) for one in found.items),
        next_cursor=None if found is None else found.next_cursor,
    )
    return context.responder.page(view)


@get("/settings/layouts/new", include_in_schema=False, opt=_WRITES)
async def show_new_layout(session: NamedDependency[Session], responder: NamedDependency[Responder]) -> PageResponse:
    fields = {"name": "", "format": "html", "source": STARTER}
    return responder.page(LayoutPage(signed_in=session.signed_in, fields=fields, version=secrets.token_urlsafe(16)))


@post("/settings/layouts", include_in_schema=False, opt=_WRITES)
async def submit_new_layout(
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form(max_bytes=FORM_MAX_BYTES)
    view = LayoutPage(signed_in=context.session.signed_in, fields=_fields(form), version=form.required("version"))
    try:
        made = await context.calls.send(
            "publishing", "POST", _API, Layout, body=view.fields, idempotency_key=form.required("version")
        )
    except UpstreamRefusalError as refused:
        # The key belongs to what was refused: what is sent next is another request.
        again = msgspec.structs.replace(_refused(view, refused), version=secrets.token_urlsafe(16))
        return context.responder.page(again, status=refused.status)
    except (UnavailableError, UpstreamTimeoutError) as away:
        return context.responder.page(
            msgspec.structs.replace(view, form_error=refusal_sentence(away)), status=away.status
        )
    return context.responder.redirect(_path_of(made.id), flash=FlashCode.LAYOUT_SAVED)


@get("/settings/layouts/{layout_id:str}", include_in_schema=False, opt=_WRITES)
async def show_layout(
    layout_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    view = await _page_of(context.session, context.calls, parse_id(layout_id))
    return context.responder.page(msgspec.structs.replace(view, flashes=context.flashes))


@post("/settings/layouts/{layout_id:str}", include_in_schema=False, opt=_WRITES)
async def submit_layout(
    layout_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form(max_bytes=FORM_MAX_BYTES)
    number = parse_id(layout_id)
    view = await _page_of(context.session, context.calls, number)
    typed = msgspec.structs.replace(view, fields=_fields(form), version=form.required("version"))
    try:
        await context.calls.send(
            "publishing", "PATCH", f"{_API}/{number}", Layout, body=typed.fields, if_match=typed.version
        )
    except UpstreamRefusalError as refused:
        if refused.status != PreconditionFailedError.status:
            return context.responder.page(_refused(typed, refused), status=refused.status)
        now = await _page_of(context.session, context.calls, number)
        again = msgspec.structs.replace(
            now,
            fields=typed.fields,
            saved_now=now.layout,
            form_error="Somebody else has changed this layout meanwhile. What you typed is still below, and nothing of "
            "it is saved yet. Compare it with what is saved now, and save again.",
        )
        return context.responder.page(again, status=refused.status)
    except (UnavailableError, UpstreamTimeoutError) as away:
        return context.responder.page(
            msgspec.structs.replace(typed, form_error=refusal_sentence(away)), status=away.status
        )
    return context.responder.redirect(_path_of(number), flash=FlashCode.LAYOUT_SAVED)


@post("/settings/layouts/{layout_id:str}/delete", include_in_schema=False, opt=_WRITES)
async def submit_deletion(
    layout_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    """Without a question, because it can be undone: the answer holds the layout, and a button that makes it again."""
    await context.read_form()
    number = parse_id(layout_id)
    try:
        view = await _page_of(context.session, context.calls, number)
    except NotFoundError:
        return context.responder.redirect(LAYOUTS_PATH, flash=FlashCode.LAYOUT_DELETED)
    try:
        await context.calls.send("publishing", "DELETE", f"{_API}/{number}", type(None))
    except UpstreamRefusalError as refused:
        sentence = await _used_by(context, number) if refused.slug == "layout-in-use" else refusal_sentence(refused)
        return context.responder.page(msgspec.structs.replace(view, form_error=sentence), status=refused.status)
    except (UnavailableError, UpstreamTimeoutError) as away:
        return context.responder.page(
            msgspec.structs.replace(view, form_error=refusal_sentence(away)), status=away.status
        )
    return context.responder.page(
        DeletedPage(
            signed_in=context.session.signed_in,
            here="layouts",
            list_path=LAYOUTS_PATH,
            list_name="Layouts",
            name=view.fields["name"],
            stays="Nothing that was sent changes, and no newsletter and no draft used it.",
            undo_path=LAYOUTS_PATH,
            undo_fields=(("version", secrets.token_urlsafe(16)), *view.fields.items()),
        )
    )


async def _used_by(context: PageContext, layout_id: int) -> str:
    newsletters = await or_none(ask_newsletters(context.calls, with_archived=True))
    used_by = [one.name for one in newsletters or () if one.layout_id == layout_id]
    named = f"These newsletters: {', '.join(used_by)}." if used_by else "Look at the drafts of issues."
    return f"It is in use, so it was not deleted. {named}"


async def _page_of(session: Session, calls: ServiceCalls, layout_id: int) -> LayoutPage:
    """Raises `NotFoundError`, and what says that publishing does not answer."""
    tagged = await calls.get_tagged("publishing", f"{_API}/{layout_id}", Layout)
    layout: Layout = tagged.value
    fields = {"name": layout.name, "format": layout.format, "source": layout.source}
    return LayoutPage(signed_in=session.signed_in, layout=layout, fields=fields, version=tagged.etag)


def _row(layout: Layout, newsletters: tuple[NewsletterFacts, ...] | None) -> LayoutRow:
    used_by = None
    if newsletters is not None:
        used_by = tuple(one.name for one in newsletters if one.layout_id == layout.id)
    return LayoutRow(
        id=layout.id, name=layout.name, format=layout.format, updated_at=layout.updated_at, used_by=used_by
    )


def _refused(view: LayoutPage, refusal: UpstreamRefusalError) -> LayoutPage:
    errors = refused_fields(refusal)
    faults = faults_of(refusal.problem.errors, view.fields["source"])
    if faults:
        errors["source"] = (
            f"It has {len(faults)} {'fault' if len(faults) == 1 else 'faults'}, listed at the top with their lines."
        )
    return msgspec.structs.replace(
        view, errors=errors, faults=faults, form_error="" if errors else refusal_sentence(refusal)
    )


def _fields(form: Form) -> dict[str, str]:
    """Browsers send line breaks as CR and LF."""
    return {
        "name": form.text("name"),
        "format": "mjml" if form.text("format") == "mjml" else "html",
        "source": form.text("source").replace("\r\n", "\n"),
    }


def _path_of(layout_id: int) -> str:
    return f"{LAYOUTS_PATH}/{layout_id}"


LAYOUT_HANDLERS: tuple[HTTPRouteHandler, ...] = (
    show_layouts, show_new_layout, submit_new_layout, show_layout, submit_layout, submit_deletion,
)  # fmt: skip
