"""`/admin/suppressions`: addresses that nothing is sent to, and why."""

import asyncio
import re
from typing import Final, get_args

from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from broadsheet_common.http.pagination import Page
from broadsheet_common.http.problems import InvalidInputError, ProblemError
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.admin.form_keys import form_key_of, new_form_key
from broadsheet_gateway.admin.newsletter_facts import ask_known_newsletters
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.service_calls import (
    ServiceCalls,
    parse_id,
    refusal_sentence,
    refused_fields,
)
from broadsheet_gateway.admin.suppressions.views import (
    ActiveFilter,
    NewSuppressionPage,
    Suppression,
    SuppressionsPage,
    TypedFilter,
)
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError
from broadsheet_gateway.http.responses import AnyRequest, PageResponse
from broadsheet_gateway.pages.flashes import FlashCode

SUPPRESSIONS_PATH: Final = "/admin/suppressions"
SUPPRESSIONS_SHOWN: Final = 50
_READS: Final = needs("suppressions:read", everywhere=True)
_WRITES: Final = needs("suppressions:read", "suppressions:write", everywhere=True)
_EMAIL_CHARS_MAX: Final = 254
_STREAM_CHARS_MAX: Final = 50
_NOTE_CHARS_MAX: Final = 500
_STREAM: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")
_ASKED: Final[dict[ActiveFilter, str | None]] = {"yes": "true", "no": "false", "all": None}


@get("/suppressions", include_in_schema=False, opt=_READS)
async def show_suppressions(
    context: NamedDependency[PageContext],
) -> PageResponse:
    cursor = context.request.query_params.get("cursor")
    typed = _read_filter(context.request)
    found, streams = await asyncio.gather(_ask(context.calls, typed, cursor), _ask_streams(context.calls))
    view = SuppressionsPage(
        signed_in=context.session.signed_in,
        flashes=context.flashes,
        suppressions=tuple(found.items) if isinstance(found, Page) else None,
        typed=typed,
        streams=streams,
        next_cursor=found.next_cursor if isinstance(found, Page) else None,
        is_first_page=not cursor,
        may_write="suppressions:write" in context.session.rights.everywhere,
        filter_error=found if isinstance(found, str) else "",
    )
    return context.responder.page(view, status=InvalidInputError.status if view.filter_error else 200)


@get("/suppressions/new", include_in_schema=False, opt=_WRITES)
async def show_new_suppression(
    context: NamedDependency[PageContext],
) -> PageResponse:
    return context.responder.page(
        NewSuppressionPage(
            signed_in=context.session.signed_in,
            flashes=context.flashes,
            idempotency_key=new_form_key(),
            streams=await _ask_streams(context.calls),
        )
    )


@post("/suppressions/new", include_in_schema=False, opt=_WRITES)
async def submit_suppression(
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form()
    email = form.text("email").strip()[: _EMAIL_CHARS_MAX + 1]
    stream = form.text("stream").strip()[: _STREAM_CHARS_MAX + 1]
    note = form.text("note").strip()[: _NOTE_CHARS_MAX + 1]
    key = form_key_of(form)
    errors, form_error, status = _faults(email, stream, note), "", InvalidInputError.status
    if not errors:
        try:
            await context.calls.send(
                "delivery",
                "POST",
                "/api/v1/suppressions",
                Suppression,
                body={"email": email, "stream": stream or None, "note": note or None},
                idempotency_key=key,
            )
        except UpstreamRefusalError as refusal:
            errors, status = refused_fields(refusal), refusal.status
            form_error = "" if errors else refusal_sentence(refusal)
            key = new_form_key()
        except ProblemError as error:
            form_error, status = refusal_sentence(error), error.status
        else:
            return context.responder.redirect(SUPPRESSIONS_PATH, flash=FlashCode.SUPPRESSION_ADDED)
    view = NewSuppressionPage(
        signed_in=context.session.signed_in,
        idempotency_key=key,
        email=email,
        stream=stream,
        note=note,
        streams=await _ask_streams(context.calls),
        errors=errors,
        form_error=form_error,
    )
    return context.responder.page(view, status=status)


@post("/suppressions/{suppression_id:str}/lift", include_in_schema=False, opt=_WRITES)
async def submit_lift(
    suppression_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    await context.read_form()
    number = parse_id(suppression_id)
    try:
        await context.calls.send("delivery", "DELETE", f"/api/v1/suppressions/{number}", type(None))
    except UpstreamRefusalError as refusal:
        if refusal.slug != "complaint-stays":
            raise
        return context.responder.redirect(SUPPRESSIONS_PATH, flash=FlashCode.COMPLAINT_STAYS)
    return context.responder.redirect(SUPPRESSIONS_PATH, flash=FlashCode.SUPPRESSION_LIFTED)


def _read_filter(request: AnyRequest) -> TypedFilter:
    given = request.query_params
    states: tuple[ActiveFilter, ...] = get_args(ActiveFilter)
    return TypedFilter(
        email=given.get("email", "").strip()[:_EMAIL_CHARS_MAX],
        stream=given.get("stream", "").strip()[:_STREAM_CHARS_MAX],
        active=next((one for one in states if one == given.get("active")), "yes"),
    )


async def _ask(calls: ServiceCalls, typed: TypedFilter, cursor: str | None) -> Page[Suppression] | str | None:
    """The page; why the filter was refused; None: delivery does not answer."""
    query = {
        "limit": SUPPRESSIONS_SHOWN,
        "cursor": cursor,
        "email": typed.email,
        "stream": typed.stream,
        "active": _ASKED[typed.active],
    }
    try:
        return await calls.get("delivery", "/api/v1/suppressions", Page[Suppression], query)
    except UpstreamRefusalError as refusal:
        return "; ".join(refused_fields(refusal).values()) or refusal_sentence(refusal)
    except ProblemError:
        return None  # logged where it was raised; the page says so


async def _ask_streams(calls: ServiceCalls) -> tuple[str, ...]:
    return tuple(sorted({one.message_stream for one in await ask_known_newsletters(calls) if one.message_stream}))


def _faults(email: str, stream: str, note: str) -> dict[str, str]:
    faults: dict[str, str] = {}
    if not email:
        faults["email"] = "Enter an address."
    elif len(email) > _EMAIL_CHARS_MAX:
        faults["email"] = "The address is too long."
    if stream and not _STREAM.fullmatch(stream):
        faults["stream"] = "A stream has small letters, digits, - and _."
    if len(note) > _NOTE_CHARS_MAX:
        faults["note"] = f"At most {_NOTE_CHARS_MAX} characters."
    return faults


SUPPRESSION_HANDLERS: tuple[HTTPRouteHandler, ...] = (
    show_suppressions, show_new_suppression, submit_suppression, submit_lift,
)  # fmt: skip
