"""`/admin/webhooks`: the endpoints that are told of changes, and the log of what was sent to them."""

import asyncio
from typing import Final, get_args

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from broadsheet_common.http.entity_tag import PreconditionFailedError
from broadsheet_common.http.pagination import Page
from broadsheet_common.http.problems import InvalidInputError, ProblemError
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.differences import NOTHING_IS_LOST
from broadsheet_gateway.admin.form_keys import form_key_of, new_form_key
from broadsheet_gateway.admin.newsletter_facts import ask_known_newsletters
from broadsheet_gateway.admin.outgoing_webhooks.endpoint_form import (
    FIELDS_MAX,
    body_of,
    differences_between,
    find_faults,
    read_endpoint,
    typed_of,
)
from broadsheet_gateway.admin.outgoing_webhooks.views import (
    EVENTS,
    OVERLAPS,
    CreatedEndpoint,
    DeliveryStatus,
    Endpoint,
    EndpointPage,
    EndpointsPage,
    NewEndpointPage,
    RotatedSecret,
    SecretPage,
    TypedEndpoint,
    WebhookDelivery,
    WebhookDeliveryPage,
)
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.service_calls import (
    ServiceCalls,
    or_none,
    parse_id,
    refusal_sentence,
    refused_fields,
)
from broadsheet_gateway.admin.subscriber_names import ask_names
from broadsheet_gateway.forwarding.upstreams import TaggedAnswer, UpstreamRefusalError
from broadsheet_gateway.http.responses import PageResponse
from broadsheet_gateway.pages.flashes import FlashCode

WEBHOOKS_PATH: Final = "/admin/webhooks"
ENDPOINTS_SHOWN: Final = 50
DELIVERIES_SHOWN: Final = 20
_API: Final = "/api/v1/webhook-endpoints"
_ANY_VERSION: Final = "*"
"""Of buttons that set one thing, whatever else somebody has changed."""
_DELIVERIES_API: Final = "/api/v1/webhook-deliveries"
_READS: Final = needs("webhooks:read", everywhere=True)
_WRITES: Final = needs("webhooks:read", "webhooks:write", everywhere=True)


@get("/webhooks", include_in_schema=False, opt=_READS)
async def show_endpoints(
    context: NamedDependency[PageContext],
) -> PageResponse:
    cursor = context.request.query_params.get("cursor")
    asked = context.calls.get("subscriptions", _API, Page[Endpoint], {"limit": ENDPOINTS_SHOWN, "cursor": cursor})
    found, newsletters = await asyncio.gather(or_none(asked), ask_known_newsletters(context.calls))
    return context.responder.page(
        EndpointsPage(
            signed_in=context.session.signed_in,
            flashes=context.flashes,
            endpoints=None if found is None else tuple(found.items),
            names={one.id: one.label for one in newsletters},
            next_cursor=None if found is None else found.next_cursor,
            is_first_page=not cursor,
            may_write=_may_write(context.session),
        )
    )


@get("/webhooks/new", include_in_schema=False, opt=_WRITES)
async def show_new_endpoint(
    context: NamedDependency[PageContext],
) -> PageResponse:
    view = NewEndpointPage(
        signed_in=context.session.signed_in,
        flashes=context.flashes,
        idempotency_key=new_form_key(),
        typed=TypedEndpoint(events=frozenset(event for event, _, _ in EVENTS)),
        newsletters=await ask_known_newsletters(context.calls),
    )
    return context.responder.page(view)


@post("/webhooks/new", include_in_schema=False, opt=_WRITES)
async def submit_endpoint(
    context: NamedDependency[PageContext],
) -> PageResponse:
    """The signing secret is in this answer alone, which no browser stores."""
    form = await context.read_form(fields_max=FIELDS_MAX)
    typed, key = read_endpoint(form), form_key_of(form)
    errors, form_error, status = find_faults(typed), "", InvalidInputError.status
    if not errors:
        try:
            created = await context.calls.send(
                "subscriptions", "POST", _API, CreatedEndpoint, body=body_of(typed), idempotency_key=key
            )
        except UpstreamRefusalError as refusal:
            errors, status = _by_field(refusal), refusal.status
            form_error = "" if errors else refusal_sentence(refusal)
            key = new_form_key()
        except ProblemError as error:
            form_error, status = refusal_sentence(error), error.status
        else:
            return context.responder.page(
                SecretPage(signed_in=context.session.signed_in, endpoint_id=created.id, secret=created.secret)
            )
    view = NewEndpointPage(
        signed_in=context.session.signed_in,
        idempotency_key=key,
        typed=typed,
        newsletters=await ask_known_newsletters(context.calls),
        errors=errors,
        form_error=form_error,
    )
    return context.responder.page(view, status=status)


@get("/webhooks/{endpoint_id:str}", include_in_schema=False, opt=_READS)
async def show_endpoint(
    endpoint_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    given = context.request.query_params
    view = await _page_of(
        await _ask_endpoint(context.calls, parse_id(endpoint_id)),
        context.session,
        context.calls,
        status=given.get("status", ""),
        cursor=given.get("cursor"),
    )
    return context.responder.page(msgspec.structs.replace(view, flashes=context.flashes))


@post("/webhooks/{endpoint_id:str}", include_in_schema=False, opt=_WRITES)
async def submit_change(
    endpoint_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form(fields_max=FIELDS_MAX)
    number, typed, version = parse_id(endpoint_id), read_endpoint(form), form.text("version")
    errors, form_error, status = find_faults(typed), "", InvalidInputError.status
    if not errors:
        try:
            await context.calls.send(
                "subscriptions", "PATCH", f"{_API}/{number}", Endpoint, body=body_of(typed), if_match=version
            )
        except UpstreamRefusalError as refusal:
            errors, status = _by_field(refusal), refusal.status
            form_error = "" if errors else refusal_sentence(refusal)
        except ProblemError as error:
            form_error, status = refusal_sentence(error), error.status
        else:
            return context.responder.redirect(_path_of(number), flash=FlashCode.WEBHOOK_CHANGED)
    view = await _page_of(await _ask_endpoint(context.calls, number), context.session, context.calls)
    if status == PreconditionFailedError.status:
        view = msgspec.structs.replace(view, differences=differences_between(typed, view.typed, view.names))
        form_error, version = NOTHING_IS_LOST.format(what="this webhook"), view.version
    version = version or view.version
    again = msgspec.structs.replace(view, typed=typed, version=version, errors=errors, form_error=form_error)
    return context.responder.page(again, status=status)


@post("/webhooks/{endpoint_id:str}/enable", include_in_schema=False, opt=_WRITES)
async def submit_enable(
    endpoint_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    await context.read_form()
    number = parse_id(endpoint_id)
    await _set_enabled(context.calls, number, is_enabled=True)
    return context.responder.redirect(_path_of(number), flash=FlashCode.WEBHOOK_ENABLED)


@post("/webhooks/{endpoint_id:str}/disable", include_in_schema=False, opt=_WRITES)
async def submit_disable(
    endpoint_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    await context.read_form()
    number = parse_id(endpoint_id)
    await _set_enabled(context.calls, number, is_enabled=False)
    return context.responder.redirect(_path_of(number), flash=FlashCode.WEBHOOK_DISABLED)


@post("/webhooks/{endpoint_id:str}/rotate-secret", include_in_schema=False, opt=_WRITES)
async def submit_rotation(
    endpoint_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    """The new secret is in this answer alone."""
    form = await context.read_form()
    number = parse_id(endpoint_id)
    overlaps = [value for value, _ in OVERLAPS]
    overlap_s = int(form.text("overlap") if form.text("overlap") in overlaps else overlaps[0])
    rotated = await context.calls.send(
        "subscriptions",
        "POST",
        f"{_API}/{number}/rotate-secret",
        RotatedSecret,
        body={"overlap_s": overlap_s},
        idempotency_key=form_key_of(form),
    )
    view = SecretPage(
        signed_in=context.session.signed_in, endpoint_id=number, secret=rotated.secret, overlap_s=overlap_s
    )
    return context.responder.page(view)


@post("/webhooks/{endpoint_id:str}/test", include_in_schema=False, opt=_WRITES)
async def submit_test(
    endpoint_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form()
    queued = await context.calls.send(
        "subscriptions",
        "POST",
        f"{_API}/{parse_id(endpoint_id)}/test",
        WebhookDelivery,
        idempotency_key=form_key_of(form),
    )
    return context.responder.redirect(_delivery_path(queued.id), flash=FlashCode.WEBHOOK_QUEUED)


@post("/webhooks/{endpoint_id:str}/delete", include_in_schema=False, opt=_WRITES)
async def submit_delete(
    endpoint_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form()
    number = parse_id(endpoint_id)
    if form.text("sure") != "yes":
        view = await _page_of(await _ask_endpoint(context.calls, number), context.session, context.calls)
        errors = {"sure": "Tick the box to delete the webhook."}
        again = msgspec.structs.replace(view, error_in="delete", errors=errors)
        return context.responder.page(again, status=InvalidInputError.status)
    await context.calls.send("subscriptions", "DELETE", f"{_API}/{number}", type(None))
    return context.responder.redirect(WEBHOOKS_PATH, flash=FlashCode.WEBHOOK_DELETED)


@get("/webhooks/deliveries/{delivery_id:str}", include_in_schema=False, opt=_READS)
async def show_delivery(
    delivery_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    view = await _delivery_page(
        await _ask_delivery(context.calls, parse_id(delivery_id)), context.session, context.calls
    )
    return context.responder.page(msgspec.structs.replace(view, flashes=context.flashes))


@post("/webhooks/deliveries/{delivery_id:str}/retry", include_in_schema=False, opt=_WRITES)
async def submit_retry(
    delivery_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form()
    number = parse_id(delivery_id)
    try:
        await context.calls.send(
            "subscriptions",
            "POST",
            f"{_DELIVERIES_API}/{number}/retry",
            WebhookDelivery,
            idempotency_key=form_key_of(form),
        )
    except UpstreamRefusalError as refusal:
        view = await _delivery_page(await _ask_delivery(context.calls, number), context.session, context.calls)
        again = msgspec.structs.replace(view, form_error=refusal_sentence(refusal))
        return context.responder.page(again, status=refusal.status)
    return context.responder.redirect(_delivery_path(number), flash=FlashCode.WEBHOOK_QUEUED)


async def _ask_endpoint(calls: ServiceCalls, endpoint_id: int) -> TaggedAnswer[Endpoint]:
    return await calls.get_tagged("subscriptions", f"{_API}/{endpoint_id}", Endpoint)


async def _set_enabled(calls: ServiceCalls, endpoint_id: int, *, is_enabled: bool) -> None:
    body = {"enabled": is_enabled}
    await calls.send("subscriptions", "PATCH", f"{_API}/{endpoint_id}", Endpoint, body=body, if_match=_ANY_VERSION)


async def _ask_delivery(calls: ServiceCalls, delivery_id: int) -> WebhookDelivery:
    return await calls.get("subscriptions", f"{_DELIVERIES_API}/{delivery_id}", WebhookDelivery)


async def _page_of(
    tagged: TaggedAnswer[Endpoint],
    session: Session,
    calls: ServiceCalls,
    *,
    status: str = "",
    cursor: str | None = None,
) -> EndpointPage:
    endpoint = tagged.value
    known: tuple[DeliveryStatus, ...] = get_args(DeliveryStatus)
    wanted = status if status in known else ""
    asked = calls.get(
        "subscriptions",
        f"{_API}/{endpoint.id}/deliveries",
        Page[WebhookDelivery],
        {"limit": DELIVERIES_SHOWN, "status": wanted, "cursor": cursor},
    )
    found, newsletters = await asyncio.gather(or_none(asked), ask_known_newsletters(calls))
    return EndpointPage(
        signed_in=session.signed_in,
        endpoint=endpoint,
        names={one.id: one.label for one in newsletters},
        idempotency_key=new_form_key(),
        typed=typed_of(endpoint),
        version=tagged.etag,
        newsletters=newsletters,
        deliveries=None if found is None else tuple(found.items),
        status=wanted,
        next_cursor=None if found is None else found.next_cursor,
        is_first_page=not cursor,
        may_write=_may_write(session),
    )


async def _delivery_page(delivery: WebhookDelivery, session: Session, calls: ServiceCalls) -> WebhookDeliveryPage:
    people = () if delivery.subscriber_id is None else (delivery.subscriber_id,)
    endpoint, newsletters, subscribers = await asyncio.gather(
        or_none(_ask_endpoint(calls, delivery.endpoint_id)),
        ask_known_newsletters(calls),
        ask_names(calls, session, people, newsletter_id=delivery.newsletter_id),
    )
    names = {one.id: one.label for one in newsletters}
    name = ""
    if delivery.newsletter_id is not None:
        name = names.get(delivery.newsletter_id, f"Newsletter {delivery.newsletter_id}")
    return WebhookDeliveryPage(
        signed_in=session.signed_in,
        delivery=delivery,
        endpoint=None if endpoint is None else endpoint.value,
        newsletter_name=name,
        subscribers=subscribers,
        idempotency_key=new_form_key(),
        may_write=_may_write(session),
    )


def _by_field(refusal: UpstreamRefusalError) -> dict[str, str]:
    """A fault of one of several events or newsletters is a fault of the field."""
    return {name.partition("/")[0]: why for name, why in refused_fields(refusal).items()}


def _may_write(session: Session) -> bool:
    return "webhooks:write" in session.rights.everywhere


def _path_of(endpoint_id: int) -> str:
    return f"{WEBHOOKS_PATH}/{endpoint_id}"


def _delivery_path(delivery_id: int) -> str:
    return f"{WEBHOOKS_PATH}/deliveries/{delivery_id}"


WEBHOOK_HANDLERS: tuple[HTTPRouteHandler, ...] = (
    show_endpoints, show_new_endpoint, submit_endpoint, show_endpoint, submit_change, submit_enable, submit_disable,
    submit_rotation, submit_test, submit_delete, show_delivery, submit_retry,
)  # fmt: skip
