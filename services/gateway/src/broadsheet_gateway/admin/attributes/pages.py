"""`/admin/attributes`: the list, another label, and removing one."""

import re
import secrets
from typing import Final

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from broadsheet_common.http.entity_tag import PreconditionFailedError
from broadsheet_common.http.pagination import Page
from broadsheet_common.http.problems import NotFoundError, ProblemError
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.attributes.views import Attribute, AttributePage, AttributeRemovePage, AttributesPage
from broadsheet_gateway.admin.header_fields import header_field
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.service_calls import ServiceCalls, or_none, refusal_sentence, refused_fields
from broadsheet_gateway.forwarding.upstreams import TaggedAnswer, UpstreamRefusalError
from broadsheet_gateway.http.responses import PageResponse
from broadsheet_gateway.pages import FlashCode

LIST_PATH: Final = "/admin/attributes"
_API_PATH: Final = "/api/v1/attributes"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
_TYPES: Final = ("text", "number", "boolean", "date")
_TEXT_CHARS_MAX: Final = 1_000
_READS: Final = needs("attributes:read", everywhere=True)
_WRITES: Final = needs("attributes:read", "attributes:write", everywhere=True)
_CHANGED_MEANWHILE: Final = (
    "Somebody else changed this label meanwhile, and nothing was saved. What you typed is below; saving again "
    "replaces theirs."
)


class _Count(msgspec.Struct, frozen=True):
    matching: int


@get("/attributes", include_in_schema=False, opt=_READS)
async def show_attributes(
    context: NamedDependency[PageContext],
) -> PageResponse:
    view = AttributesPage(
        signed_in=context.session.signed_in,
        flashes=context.flashes,
        attributes=await or_none(_ask_all(context.calls)),
        idempotency_key=secrets.token_urlsafe(16),
    )
    return context.responder.page(view)


@post("/attributes", include_in_schema=False, opt=_WRITES)
async def submit_attribute(
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form()
    name, label = form.text("name").strip()[:_TEXT_CHARS_MAX], form.text("label").strip()[:_TEXT_CHARS_MAX]
    chosen = form.text("type")
    errors: dict[str, str] = {}
    if not name:
        errors["name"] = "Enter a name."
    if chosen not in _TYPES:
        errors["type"] = "Choose a type."
    form_error, status = "", 422
    if not errors:
        body = {"name": name, "type": chosen, "label": label or None}
        key = header_field(form.text("idempotency_key"))
        try:
            await context.calls.send("subscriptions", "POST", _API_PATH, Attribute, body=body, idempotency_key=key)
        except UpstreamRefusalError as refusal:
            errors, status = refused_fields(refusal), refusal.status
            if refusal.slug == "attribute-exists":
                errors = {"name": "There is an attribute of this name, or its values are still being removed."}
            form_error = "" if errors else refusal_sentence(refusal)
        except ProblemError as problem:
            form_error, status = refusal_sentence(problem), problem.status
        else:
            return context.responder.redirect(LIST_PATH, flash=FlashCode.ATTRIBUTE_ADDED)
    view = AttributesPage(
        signed_in=context.session.signed_in,
        attributes=await or_none(_ask_all(context.calls)),
        name=name,
        label=label,
        type=chosen,
        idempotency_key=form.text("idempotency_key"),
        errors=errors,
        form_error=form_error,
    )
    return context.responder.page(view, status=status)


@get("/attributes/{name:str}", include_in_schema=False, opt=_WRITES)
async def show_attribute(
    name: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    found = await _ask(context.calls, name)
    view = AttributePage(
        signed_in=context.session.signed_in,
        flashes=context.flashes,
        attribute=found.value,
        label=found.value.label,
        version=found.etag,
    )
    return context.responder.page(view)


@post("/attributes/{name:str}", include_in_schema=False, opt=_WRITES)
async def submit_label(
    name: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form()
    found = await _ask(context.calls, name)
    label, version = form.text("label").strip()[:_TEXT_CHARS_MAX], form.text("version")
    errors: dict[str, str] = {} if label else {"label": "Enter a label."}
    form_error, status = "", 422
    if not errors:
        path = f"{_API_PATH}/{found.value.name}"
        try:
            await context.calls.send(
                "subscriptions", "PATCH", path, Attribute, body={"label": label}, if_match=header_field(version)
            )
        except UpstreamRefusalError as refusal:
            errors, status = refused_fields(refusal), refusal.status
            form_error = "" if errors else refusal_sentence(refusal)
            if status == PreconditionFailedError.status:
                form_error, version = _CHANGED_MEANWHILE, found.etag
        except NotFoundError:
            raise
        except ProblemError as problem:
            form_error, status = refusal_sentence(problem), problem.status
        else:
            return context.responder.redirect(LIST_PATH, flash=FlashCode.ATTRIBUTE_CHANGED)
    view = AttributePage(
        signed_in=context.session.signed_in,
        attribute=found.value,
        label=label,
        version=version,
        errors=errors,
        form_error=form_error,
    )
    return context.responder.page(view, status=status)


@get("/attributes/{name:str}/remove", include_in_schema=False, opt=_WRITES)
async def show_remove_attribute(
    name: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    return context.responder.page(
        await _remove_page(context.session, context.calls, (await _ask(context.calls, name)).value)
    )


@post("/attributes/{name:str}/remove", include_in_schema=False, opt=_WRITES)
async def submit_remove_attribute(
    name: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form()
    attribute = (await _ask(context.calls, name)).value
    errors: dict[str, str] = {}
    form_error, status = "", 422
    if form.text("understood") != "yes":
        errors["understood"] = "Tick the box to remove the values."
    else:
        try:
            await context.calls.send("subscriptions", "DELETE", f"{_API_PATH}/{attribute.name}", type(None))
        except UpstreamRefusalError as refusal:
            in_use = "A segment uses this attribute. Change or delete that segment first."
            form_error = in_use if refusal.slug == "attribute-in-use" else refusal_sentence(refusal)
            status = refusal.status
        except NotFoundError:
            raise
        except ProblemError as problem:
            form_error, status = refusal_sentence(problem), problem.status
        else:
            return context.responder.redirect(LIST_PATH, flash=FlashCode.ATTRIBUTE_REMOVED)
    view = await _remove_page(context.session, context.calls, attribute)
    return context.responder.page(msgspec.structs.replace(view, errors=errors, form_error=form_error), status=status)


async def _ask_all(calls: ServiceCalls) -> tuple[Attribute, ...]:
    return tuple((await calls.get("subscriptions", _API_PATH, Page[Attribute])).items)


async def _ask(calls: ServiceCalls, name: str) -> TaggedAnswer[Attribute]:
    """Raises `NotFoundError`, also for what is no name."""
    if _NAME.fullmatch(name) is None:
        raise NotFoundError
    return await calls.get_tagged("subscriptions", f"{_API_PATH}/{name}", Attribute)


async def _remove_page(session: Session, calls: ServiceCalls, attribute: Attribute) -> AttributeRemovePage:
    holders: int | None = None
    if "segments:read" in session.rights.everywhere:
        has_value = {"field": "attribute", "name": attribute.name, "op": "is_set", "value": True}
        body = {"filter": {"all": [has_value]}}
        counted = await or_none(calls.send("subscriptions", "POST", "/api/v1/segments/count", _Count, body=body))
        holders = None if counted is None else counted.matching
    return AttributeRemovePage(signed_in=session.signed_in, attribute=attribute, holders=holders)


ATTRIBUTE_HANDLERS: tuple[HTTPRouteHandler, ...] = (
    show_attributes, submit_attribute, show_attribute, submit_label, show_remove_attribute, submit_remove_attribute,
)  # fmt: skip
