"""`/admin/subscribers`: the list, and signing somebody up."""

import asyncio
import secrets
from typing import Any, Final

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler

from broadsheet_common.http.pagination import Page
from broadsheet_common.http.problems import ProblemError, as_sentence
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.header_fields import header_field
from broadsheet_gateway.admin.newsletter_facts import NewsletterFacts, ask_newsletters, workable
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.service_calls import ServiceCalls, or_none, refusal_sentence
from broadsheet_gateway.admin.subscribers.asked import PATH, SUBSCRIBERS_SHOWN, Subscriber, ask_subscribers
from broadsheet_gateway.admin.subscribers.list_query import api_query, faults_of, is_record_id, page_query, read_filters
from broadsheet_gateway.admin.subscribers.notes_form import tags_of
from broadsheet_gateway.admin.subscribers.show_person import subscription_rows
from broadsheet_gateway.admin.subscribers.views import (
    NewSubscriberPage,
    SegmentChoice,
    SubscriberLine,
    SubscribersPage,
)
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError
from broadsheet_gateway.http.forms import Form
from broadsheet_gateway.http.responses import PageResponse
from broadsheet_gateway.pages import FlashCode

LIST_PATH: Final = "/admin/subscribers"
SEGMENTS_MAX: Final = 100
SUBSCRIPTIONS_NAMED: Final = 4
"""Of one person, in the list."""
_READS: Final = needs("subscribers:read")
_WRITES: Final = needs("subscribers:read", "subscribers:write")


class _SignUp(msgspec.Struct, frozen=True):
    id: int


@get("/subscribers", include_in_schema=False, opt=_READS)
async def show_subscribers(
    context: NamedDependency[PageContext],
) -> PageResponse:
    filters = read_filters({name: context.request.query_params[name] for name in context.request.query_params})
    cursor = context.request.query_params.get("cursor")
    is_limited = "subscribers:read" not in context.session.rights.everywhere
    names: tuple[NewsletterFacts, ...] | None = None
    if is_limited and not filters.newsletter_id:
        # The service lists nobody without a newsletter to somebody who works on some only.
        names = await or_none(ask_newsletters(context.calls, with_archived=True))
        first = next(iter(workable(names or (), context.session, "subscribers:read")), None)
        filters = msgspec.structs.replace(filters, newsletter_id="" if first is None else str(first.id))
    errors: dict[str, str] = {}

    async def find() -> Page[Subscriber] | None:
        try:
            return await ask_subscribers(context.calls, api_query(filters, cursor=cursor))
        except UpstreamRefusalError as refusal:
            errors.update(faults_of(refusal, filters))
            return None

    found, names, segments = await asyncio.gather(
        or_none(find()), _names(context.calls, names), _segments(context.calls, context.session)
    )
    view = SubscribersPage(
        signed_in=context.session.signed_in,
        flashes=context.flashes,
        people=None if found is None else tuple(_line(one, names) for one in found.items),
        filters=filters,
        newsletters=workable(names or (), context.session, "subscribers:read"),
        segments=segments,
        must_choose_newsletter=is_limited,
        next_query="" if found is None or found.next_cursor is None else page_query(filters, cursor=found.next_cursor),
        first_query=page_query(filters, cursor=None),
        is_first_page=not cursor,
        is_short=found is not None and found.next_cursor is not None and len(found.items) < SUBSCRIBERS_SHOWN,
        errors=errors,
    )
    return context.responder.page(view, status=422 if errors else 200)


@get("/subscribers/new", include_in_schema=False, opt=_WRITES)
async def show_new_subscriber(
    context: NamedDependency[PageContext],
) -> PageResponse:
    view = NewSubscriberPage(
        signed_in=context.session.signed_in,
        newsletters=await _open_newsletters(context.calls, context.session),
        idempotency_key=secrets.token_urlsafe(16),
    )
    return context.responder.page(view)


@post("/subscribers/new", include_in_schema=False, opt=_WRITES)
async def submit_new_subscriber(
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form()
    errors = _missing(form)
    form_error, status = "", 422
    if not errors:
        try:
            signed_up = await context.calls.send(
                "subscriptions",
                "POST",
                PATH,
                _SignUp,
                body=_body(form),
                idempotency_key=header_field(form.text("idempotency_key")),
            )
        except UpstreamRefusalError as refusal:
            errors, status = _by_field(refusal), refusal.status
            form_error = "" if errors else refusal_sentence(refusal)
        except ProblemError as problem:
            form_error, status = refusal_sentence(problem), problem.status
        else:
            return context.responder.redirect(f"{LIST_PATH}/{signed_up.id}", flash=FlashCode.SUBSCRIBER_ADDED)
    view = NewSubscriberPage(
        signed_in=context.session.signed_in,
        newsletters=await _open_newsletters(context.calls, context.session),
        email=form.text("email"),
        name=form.text("name"),
        newsletter_id=form.text("newsletter_id"),
        tags=form.text("tags"),
        idempotency_key=form.text("idempotency_key"),
        errors=errors,
        form_error=form_error,
    )
    return context.responder.page(view, status=status)


def _missing(form: Form) -> dict[str, str]:
    faults: dict[str, str] = {}
    if not form.text("email").strip():
        faults["email"] = "Enter an address."
    if not form.text("name").strip():
        faults["name"] = "Enter a name."
    if not is_record_id(form.text("newsletter_id")):
        faults["newsletter_id"] = "Choose a newsletter."
    return faults


def _body(form: Form) -> dict[str, Any]:
    return {
        "email": form.text("email").strip(),
        "name": form.text("name"),
        "newsletter_id": int(form.text("newsletter_id")),
        "tags": tags_of(form.text("tags")),
    }


def _by_field(refusal: UpstreamRefusalError) -> dict[str, str]:
    """A tag's own place in the list is no field of the form."""
    return {error.pointer.strip("/").partition("/")[0]: as_sentence(error.detail) for error in refusal.problem.errors}


async def _names(calls: ServiceCalls, known: tuple[NewsletterFacts, ...] | None) -> tuple[NewsletterFacts, ...] | None:
    return known if known is not None else await or_none(ask_newsletters(calls, with_archived=True))


async def _segments(calls: ServiceCalls, session: Session) -> tuple[SegmentChoice, ...]:
    if "segments:read" not in session.rights.everywhere:
        return ()
    asked = calls.get("subscriptions", "/api/v1/segments", Page[SegmentChoice], {"limit": SEGMENTS_MAX})
    found = await or_none(asked)
    return () if found is None else tuple(found.items)


async def _open_newsletters(calls: ServiceCalls, session: Session) -> tuple[NewsletterFacts, ...]:
    names = await or_none(ask_newsletters(calls, with_archived=True)) or ()
    return tuple(one for one in workable(names, session, "subscribers:write") if one.archived_at is None)


def _line(person: Subscriber, names: tuple[NewsletterFacts, ...] | None) -> SubscriberLine:
    rows = subscription_rows(person, names)
    return SubscriberLine(
        id=person.id,
        email=person.email,
        name=person.name,
        created_at=person.created_at,
        tags=person.tags,
        subscriptions=rows[:SUBSCRIPTIONS_NAMED],
        subscriptions_left_out=max(0, len(rows) - SUBSCRIPTIONS_NAMED),
    )


SUBSCRIBER_LIST_HANDLERS: tuple[HTTPRouteHandler, ...] = (
    show_subscribers, show_new_subscriber, submit_new_subscriber,
)  # fmt: skip
