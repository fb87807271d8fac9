"""`/admin/segments`: the list, and the form of one segment.

The form's buttons "Add a condition" and their like send it too: the page comes back with everything that was typed, and
nothing is saved. A script sends the same form by itself and takes the parts that changed from the answer.
"""

import secrets
from typing import Final

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from broadsheet_common.http.entity_tag import PreconditionFailedError
from broadsheet_common.http.problems import NotFoundError, ProblemError
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.accounts.session_form import read_session_form
from broadsheet_gateway.admin.deleted_page import DeletedPage
from broadsheet_gateway.admin.header_fields import header_field
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.segments.asked import (
    PATH,
    Known,
    ask_count,
    ask_known,
    ask_segment,
    ask_segments,
    with_issues,
)
from broadsheet_gateway.admin.segments.edit import (
    Draft,
    Read,
    as_text,
    draft_of,
    page_of,
    pressed,
    read_draft,
    read_filter,
)
from broadsheet_gateway.admin.segments.filter_form import FIELDS_MAX
from broadsheet_gateway.admin.segments.filter_rows import Condition, Group
from broadsheet_gateway.admin.segments.views import (
    Segment,
    SegmentLine,
    SegmentPage,
    SegmentsPage,
)
from broadsheet_gateway.admin.service_calls import ServiceCalls, or_none, parse_id, refusal_sentence
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.settings import GatewaySettings

LIST_PATH: Final = "/admin/segments"
FORM_BYTES_MAX: Final = 1024 * 1024
"""Lists of values can be long."""
_READS: Final = needs("segments:read", everywhere=True)
_WRITES: Final = needs("segments:read", "segments:write", everywhere=True)
_CHANGED_MEANWHILE: Final = (
    "Somebody else changed this segment meanwhile, and nothing was saved. What you typed is below. Open the segment in "
    "another window to see what is stored now; saving again replaces it."
)
_NAME_TAKEN: Final = "Another segment has this name already."


class CountAnswer(msgspec.Struct, frozen=True):
    """How many people are in a segment now."""

    matching: int


@get("/segments", include_in_schema=False, opt=_READS)
async def show_segments(
    context: NamedDependency[PageContext],
) -> PageResponse:
    """`?count=` is a segment to count, for browsers without scripts; the others are counted by a script."""
    cursor = context.request.query_params.get("cursor")
    found = await or_none(ask_segments(context.calls, cursor=cursor))
    counted = context.request.query_params.get("count", "")
    lines: list[SegmentLine] | None = None
    if found is not None:
        lines = []
        for one in found.items:
            matching: int | msgspec.UnsetType | None = msgspec.UNSET
            if counted == str(one.id):
                matching = await or_none(ask_count(context.calls, one.filter))
            lines.append(SegmentLine(id=one.id, name=one.name, updated_at=one.updated_at, matching=matching))
    return context.responder.page(
        SegmentsPage(
            signed_in=context.session.signed_in,
            flashes=context.flashes,
            segments=None if lines is None else tuple(lines),
            next_cursor=None if found is None else found.next_cursor,
            is_first_page=not cursor,
        )
    )


@get("/segments/{segment_id:str}/count", include_in_schema=False, opt=_READS)
async def show_count(segment_id: FromPath[str], calls: NamedDependency[ServiceCalls]) -> CountAnswer:
    """JSON, requested by the list's script, one segment after the other."""
    segment = (await ask_segment(calls, parse_id(segment_id))).value
    return CountAnswer(await ask_count(calls, segment.filter))


@get("/segments/new", include_in_schema=False, opt=_WRITES)
async def show_new_segment(
    context: NamedDependency[PageContext],
) -> PageResponse:
    draft = Draft(rows=Group("all", (Condition(),)), idempotency_key=secrets.token_urlsafe(16))
    return context.responder.page(page_of(draft, await ask_known(context.calls), context.session, segment_id=None))


@post("/segments/new", include_in_schema=False, opt=_WRITES)
async def submit_new_segment(
    context: NamedDependency[PageContext],
) -> PageResponse:
    return await _submit(
        context.request, context.session, context.responder, context.settings, context.calls, segment_id=None
    )


@get("/segments/{segment_id:str}", include_in_schema=False, opt=_READS)
async def show_segment(
    segment_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    number = parse_id(segment_id)
    found = await ask_segment(context.calls, number)
    known = await ask_known(context.calls)
    draft = draft_of(found.value.name, found.value.filter, known, version=found.etag)
    known = await with_issues(known, context.calls, context.session, draft.rows)
    view = page_of(draft, known, context.session, segment_id=number)
    return context.responder.page(msgspec.structs.replace(view, flashes=context.flashes, shows_stored=True))


@post("/segments/{segment_id:str}", include_in_schema=False, opt=_WRITES)
async def submit_segment(
    segment_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    return await _submit(
        context.request,
        context.session,
        context.responder,
        context.settings,
        context.calls,
        segment_id=parse_id(segment_id),
    )


@post("/segments/{segment_id:str}/delete", include_in_schema=False, opt=_WRITES)
async def submit_delete_segment(
    segment_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    """Without a question, because it can be undone: the answer holds the segment, and a button that makes it again."""
    await context.read_form()
    number = parse_id(segment_id)
    try:
        found = await ask_segment(context.calls, number)
    except NotFoundError:
        return context.responder.redirect(LIST_PATH, flash=FlashCode.SEGMENT_DELETED)
    try:
        await context.calls.send("subscriptions", "DELETE", f"{PATH}/{number}", type(None))
    except UpstreamRefusalError as refusal:
        in_use = "An issue that is not published yet goes to this segment. Choose another audience for it first."
        error = in_use if refusal.slug == "segment-in-use" else refusal_sentence(refusal)
        status = refusal.status
    except ProblemError as problem:
        error, status = refusal_sentence(problem), problem.status
    else:
        return context.responder.page(
            DeletedPage(
                signed_in=context.session.signed_in,
                here="segments",
                list_path=LIST_PATH,
                list_name="Segments",
                name=found.value.name,
                stays="The people in it stay as they are, and issues that went to it keep a copy of the filter.",
                undo_path=f"{LIST_PATH}/new",
                undo_fields=(
                    ("idempotency_key", secrets.token_urlsafe(16)),
                    ("name", found.value.name),
                    ("filter", as_text(found.value.filter)),
                    ("do", "save"),
                ),
            )
        )
    known = await ask_known(context.calls)
    draft = draft_of(found.value.name, found.value.filter, known, version=found.etag)
    known = await with_issues(known, context.calls, context.session, draft.rows)
    view = page_of(draft, known, context.session, segment_id=number, form_error=error)
    return context.responder.page(view, status=status)


async def _submit(
    request: AnyRequest,
    session: Session,
    responder: Responder,
    settings: GatewaySettings,
    calls: ServiceCalls,
    *,
    segment_id: int | None,
) -> PageResponse:
    form = await read_session_form(request, session, settings, max_bytes=FORM_BYTES_MAX, fields_max=FIELDS_MAX)
    draft = read_draft(form)
    known = await with_issues(await ask_known(calls), calls, session, draft.rows)
    match form.text("do"):
        case "save":
            return await _save(draft, known, session, responder, calls, segment_id=segment_id)
        case "count":
            view, status = await _count(draft, known, session, calls, segment_id=segment_id)
            return responder.page(view, status=status)
        case button:
            changed, faults = pressed(draft, button, known)
            if draft.rows is None:
                known = await with_issues(known, calls, session, changed.rows)
            view = page_of(changed, known, session, segment_id=segment_id, read=faults)
            return responder.page(view, status=200 if faults is None else 422)


async def _count(
    draft: Draft, known: Known, session: Session, calls: ServiceCalls, *, segment_id: int | None
) -> tuple[SegmentPage, int]:
    read = read_filter(draft, known.types)
    if not read.is_whole:
        return page_of(draft, known, session, segment_id=segment_id, read=read), 422
    try:
        matching: int | None = await ask_count(calls, read.filter)
    except UpstreamRefusalError as refusal:
        sentence = "" if refusal.problem.errors else refusal_sentence(refusal)
        view = page_of(draft, known, session, segment_id=segment_id, read=read, refusal=refusal, form_error=sentence)
        return view, refusal.status
    except ProblemError:
        matching = None  # logged where it was raised; the page says that the count did not come
    return page_of(draft, known, session, segment_id=segment_id, matching=matching), 200


async def _save(
    draft: Draft,
    known: Known,
    session: Session,
    responder: Responder,
    calls: ServiceCalls,
    *,
    segment_id: int | None,
) -> PageResponse:
    read = read_filter(draft, known.types)
    name_fault = "" if draft.name.strip() else "Enter a name."
    if not read.is_whole or name_fault:
        view = page_of(draft, known, session, segment_id=segment_id, read=read, name_fault=name_fault)
        return responder.page(view, status=422)
    try:
        saved = await _send(draft, read, calls, segment_id=segment_id)
    except UpstreamRefusalError as refusal:
        return responder.page(
            await _refused(refusal, draft, read, known, session, calls, segment_id=segment_id), status=refusal.status
        )
    except NotFoundError:
        raise
    except ProblemError as problem:
        view = page_of(draft, known, session, segment_id=segment_id, form_error=refusal_sentence(problem))
        return responder.page(view, status=problem.status)
    return responder.redirect(f"{LIST_PATH}/{saved.id}", flash=FlashCode.SEGMENT_SAVED)


async def _send(draft: Draft, read: Read, calls: ServiceCalls, *, segment_id: int | None) -> Segment:
    body = {"name": draft.name, "filter": read.filter}
    if segment_id is None:
        return await calls.send(
            "subscriptions", "POST", PATH, Segment, body=body, idempotency_key=header_field(draft.idempotency_key)
        )
    return await calls.send(
        "subscriptions", "PATCH", f"{PATH}/{segment_id}", Segment, body=body, if_match=header_field(draft.version)
    )


async def _refused(
    refusal: UpstreamRefusalError,
    draft: Draft,
    read: Read,
    known: Known,
    session: Session,
    calls: ServiceCalls,
    *,
    segment_id: int | None,
) -> SegmentPage:
    name_fault = _NAME_TAKEN if refusal.slug == "segment-exists" else ""
    sentence = "" if refusal.problem.errors or name_fault else refusal_sentence(refusal)
    if refusal.status == PreconditionFailedError.status and segment_id is not None:
        fresh = await ask_segment(calls, segment_id)
        draft = msgspec.structs.replace(draft, version=fresh.etag)
        sentence = _CHANGED_MEANWHILE
    return page_of(
        draft,
        known,
        session,
        segment_id=segment_id,
        read=read,
        refusal=refusal,
        name_fault=name_fault,
        form_error=sentence,
    )


SEGMENT_HANDLERS: tuple[HTTPRouteHandler, ...] = (
    show_segments, show_count, show_new_segment, submit_new_segment, show_segment, submit_segment,
    submit_delete_segment,
)  # fmt: skip
