"""`/admin/subscribers/{id}`: one person: their story, what is noted of them, leaving, export and erasure."""

import secrets
from typing import Any, Final

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from broadsheet_common.http.entity_tag import PreconditionFailedError
from broadsheet_common.http.problems import NotFoundError, ProblemError, as_sentence
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.accounts.current_session import Session, require_recent
from broadsheet_gateway.admin.header_fields import header_field
from broadsheet_gateway.admin.newsletter_facts import ask_newsletters
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.service_calls import ServiceCalls, or_none, parse_id, refusal_sentence
from broadsheet_gateway.admin.subscribers.asked import PATH, Attribute, Subscriber, ask_attributes, ask_subscriber
from broadsheet_gateway.admin.subscribers.list_query import is_record_id
from broadsheet_gateway.admin.subscribers.notes_form import (
    FIELDS_MAX,
    TypedNotes,
    changes_of,
    field_of,
    fields_of,
    notes_of,
    read_notes,
)
from broadsheet_gateway.admin.subscribers.pages import LIST_PATH
from broadsheet_gateway.admin.subscribers.show_person import show_person, subscription_rows
from broadsheet_gateway.admin.subscribers.views import (
    EditSubscriberPage,
    ErasePersonPage,
    ExportPersonPage,
    UnsubscribePersonPage,
)
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError
from broadsheet_gateway.http.forms import Form
from broadsheet_gateway.http.responses import PageResponse
from broadsheet_gateway.pages import FlashCode

NOTES_BYTES_MAX: Final = 1024 * 1024
ALL: Final = "all"
_READS: Final = needs("subscribers:read")
_WRITES: Final = needs("subscribers:read", "subscribers:write")
_EXPORTS: Final = needs("subscribers:read", "personal-data:export", everywhere=True)
_ERASES: Final = needs("subscribers:read", "personal-data:erase", everywhere=True)
_CHANGED_MEANWHILE: Final = (
    "Something about this person was changed meanwhile, and nothing was saved. What you typed is below. Open their "
    "page in another window to see what is stored now; saving again replaces it."
)


class _Done(msgspec.Struct, frozen=True):
    """An answer of which nothing is shown."""


@get("/subscribers/{subscriber_id:str}", include_in_schema=False, opt=_READS)
async def show_subscriber(
    subscriber_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    view = await show_person(
        context,
        parse_id(subscriber_id),
        mails=context.request.query_params.get("mails"),
        flashes=context.flashes,
    )
    return context.responder.page(view)


@get("/subscribers/{subscriber_id:str}/edit", include_in_schema=False, opt=_WRITES)
async def show_edit(
    subscriber_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    person = await ask_subscriber(context.calls, parse_id(subscriber_id))
    attributes = await _attributes(context.calls, context.session)
    return context.responder.page(
        _edit_page(
            context.session,
            person.value,
            notes_of(person.value, attributes),
            attributes=attributes,
            version=person.etag,
        )
    )


@post("/subscribers/{subscriber_id:str}/edit", include_in_schema=False, opt=_WRITES)
async def submit_edit(
    subscriber_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form(max_bytes=NOTES_BYTES_MAX, fields_max=FIELDS_MAX)
    person = await ask_subscriber(context.calls, parse_id(subscriber_id))
    attributes = await _attributes(context.calls, context.session)
    notes = read_notes(form)
    version = form.text("version")
    change, faults = changes_of(notes, person.value, attributes)
    fields = fields_of(notes, attributes or ())
    errors = {f"attribute_{one.position}": faults[one.name] for one in fields if one.name in faults}
    form_error, status = "", 422
    if not errors:
        try:
            await context.calls.send(
                "subscriptions",
                "PATCH",
                f"{PATH}/{person.value.id}",
                _Done,
                body=change,
                if_match=header_field(version),
            )
        except UpstreamRefusalError as refusal:
            status = refusal.status
            if status == PreconditionFailedError.status:
                form_error, version = _CHANGED_MEANWHILE, person.etag
            else:
                errors = {
                    field_of(error.pointer, fields): as_sentence(error.detail) for error in refusal.problem.errors
                }
                form_error = "" if errors else refusal_sentence(refusal)
        except NotFoundError:
            raise
        except ProblemError as problem:
            form_error, status = refusal_sentence(problem), problem.status
        else:
            return context.responder.redirect(_path(person.value.id), flash=FlashCode.SUBSCRIBER_CHANGED)
    view = _edit_page(
        context.session,
        person.value,
        notes,
        attributes=attributes,
        version=version,
        errors=errors,
        form_error=form_error,
    )
    return context.responder.page(view, status=status)


@get("/subscribers/{subscriber_id:str}/unsubscribe", include_in_schema=False, opt=_WRITES)
async def show_unsubscribe(
    subscriber_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    """`?newsletter_id=` is chosen beforehand."""
    chosen = context.request.query_params.get("newsletter_id", "")
    return context.responder.page(
        await _unsubscribe_page(
            context.session,
            context.calls,
            parse_id(subscriber_id),
            chosen=chosen,
            idempotency_key=secrets.token_urlsafe(16),
        )
    )


@post("/subscribers/{subscriber_id:str}/unsubscribe", include_in_schema=False, opt=_WRITES)
async def submit_unsubscribe(
    subscriber_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form()
    number = parse_id(subscriber_id)
    chosen = form.text("newsletter_id")
    errors: dict[str, str] = {}
    form_error, status = "", 422
    if chosen != ALL and not is_record_id(chosen):
        errors["newsletter_id"] = "Choose what they leave."
    else:
        body: dict[str, Any] = {"newsletter_id": None if chosen == ALL else int(chosen)}
        refused = await _send(context.calls, f"{PATH}/{number}/unsubscribe", body, form)
        if refused is None:
            return context.responder.redirect(_path(number), flash=FlashCode.SUBSCRIBER_UNSUBSCRIBED)
        form_error, status = refused
    view = await _unsubscribe_page(
        context.session,
        context.calls,
        number,
        chosen=chosen,
        idempotency_key=form.text("idempotency_key"),
        errors=errors,
        form_error=form_error,
    )
    return context.responder.page(view, status=status)


@get("/subscribers/{subscriber_id:str}/export", include_in_schema=False, opt=_EXPORTS)
async def show_export(
    subscriber_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    """The page asks for the proof; its link is the API's own, which the gateway passes on piece by piece."""
    require_recent(context.session)
    person = (await ask_subscriber(context.calls, parse_id(subscriber_id))).value
    return context.responder.page(
        ExportPersonPage(signed_in=context.session.signed_in, subscriber_id=person.id, email=person.email)
    )


@get("/subscribers/{subscriber_id:str}/erase", include_in_schema=False, opt=_ERASES)
async def show_erase(
    subscriber_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    person = (await ask_subscriber(context.calls, parse_id(subscriber_id))).value
    view = ErasePersonPage(
        signed_in=context.session.signed_in,
        subscriber_id=person.id,
        email=person.email,
        idempotency_key=secrets.token_urlsafe(16),
    )
    return context.responder.page(view)


@post("/subscribers/{subscriber_id:str}/erase", include_in_schema=False, opt=_ERASES)
async def submit_erase(
    subscriber_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form()
    person = (await ask_subscriber(context.calls, parse_id(subscriber_id))).value
    errors: dict[str, str] = {}
    form_error, status = "", 422
    if form.text("understood") != "yes":
        errors["understood"] = "Tick the box to erase this person."
    else:
        refused = await _send(context.calls, f"{PATH}/{person.id}/erase", {}, form)
        if refused is None:
            return context.responder.redirect(LIST_PATH, flash=FlashCode.SUBSCRIBER_ERASED)
        form_error, status = refused
    view = ErasePersonPage(
        signed_in=context.session.signed_in,
        subscriber_id=person.id,
        email=person.email,
        idempotency_key=form.text("idempotency_key"),
        errors=errors,
        form_error=form_error,
    )
    return context.responder.page(view, status=status)


async def _send(calls: ServiceCalls, path: str, body: dict[str, Any], form: Form) -> tuple[str, int] | None:
    """None: it is done. Else why not, and the status to answer with. Raises `NotFoundError`."""
    key = header_field(form.text("idempotency_key"))
    try:
        await calls.send("subscriptions", "POST", path, _Done, body=body, idempotency_key=key)
    except UpstreamRefusalError as refusal:
        return refusal_sentence(refusal), refusal.status
    except NotFoundError:
        raise
    except ProblemError as problem:
        return refusal_sentence(problem), problem.status
    return None


async def _attributes(calls: ServiceCalls, session: Session) -> tuple[Attribute, ...] | None:
    """None: not to be seen, or not to be asked now."""
    if "attributes:read" not in session.rights.everywhere:
        return None
    return await or_none(ask_attributes(calls))


def _edit_page(
    session: Session,
    person: Subscriber,
    notes: TypedNotes,
    *,
    attributes: tuple[Attribute, ...] | None,
    version: str,
    errors: dict[str, str] | None = None,
    form_error: str = "",
) -> EditSubscriberPage:
    return EditSubscriberPage(
        signed_in=session.signed_in,
        subscriber_id=person.id,
        email=person.email,
        name=notes.name,
        tags=notes.tags,
        attributes=None if attributes is None else fields_of(notes, attributes),
        version=version,
        errors=errors or {},
        form_error=form_error,
    )


async def _unsubscribe_page(
    session: Session,
    calls: ServiceCalls,
    subscriber_id: int,
    *,
    chosen: str,
    idempotency_key: str,
    errors: dict[str, str] | None = None,
    form_error: str = "",
) -> UnsubscribePersonPage:
    person = (await ask_subscriber(calls, subscriber_id)).value
    names = await or_none(ask_newsletters(calls, with_archived=True))
    rights = session.rights
    allowed = {newsletter_id for newsletter_id, held in rights.limited if held == "subscribers:write"}
    may_all = "subscribers:write" in rights.everywhere
    rows = tuple(
        row
        for row in subscription_rows(person, names)
        if row.state != "unsubscribed" and (may_all or row.newsletter_id in allowed)
    )
    return UnsubscribePersonPage(
        signed_in=session.signed_in,
        subscriber_id=person.id,
        email=person.email,
        subscriptions=rows,
        may_leave_all=may_all,
        chosen=chosen,
        idempotency_key=idempotency_key,
        errors=errors or {},
        form_error=form_error,
    )


def _path(subscriber_id: int) -> str:
    return f"{LIST_PATH}/{subscriber_id}"


PERSON_HANDLERS: tuple[HTTPRouteHandler, ...] = (
    show_subscriber, show_edit, submit_edit, show_unsubscribe, submit_unsubscribe, show_export, show_erase,
    submit_erase,
)  # fmt: skip
