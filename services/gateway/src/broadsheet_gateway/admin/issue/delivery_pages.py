"""`/admin/deliveries/{id}`: what happened to one recipient's mail, and the decision about it."""

import asyncio
import re
import secrets
from typing import Any, Final

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.problems import NotFoundError, ProblemError
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.actor_names import names_of
from broadsheet_gateway.admin.issue.decision_form import find_decision_faults
from broadsheet_gateway.admin.issue.delivery_timeline import DeliveryTimeline, entries_of
from broadsheet_gateway.admin.issue.issue_overview import ask_issue
from broadsheet_gateway.admin.issue.views import DeliveryPage, TypedAction
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.service_calls import ServiceCalls, or_none, refusal_sentence, refused_fields
from broadsheet_gateway.admin.subscriber_names import ask_names
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError
from broadsheet_gateway.http.responses import PageResponse
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.pages.views import NO_ERRORS, FieldErrors

_ID: Final = re.compile(r"[0-9]{1,19}-[0-9]{1,19}", re.ASCII)
# A person's deliveries are of several newsletters, so these are for those who see all of them.
_READS: Final = needs("issues:read", "deliveries:read", everywhere=True)
_DECIDES: Final = needs("issues:read", "deliveries:read", "deliveries:decide", everywhere=True)


@get("/deliveries/{delivery_id:str}", include_in_schema=False, opt=_READS)
async def show_delivery(
    delivery_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    view = await _page(context.session, context.calls, context.engine, _parse(delivery_id))
    return context.responder.page(msgspec.structs.replace(view, flashes=context.flashes))


@post("/deliveries/{delivery_id:str}/decide", include_in_schema=False, opt=_DECIDES)
async def submit_decision(
    delivery_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form()
    known_id = _parse(delivery_id)
    typed, errors = find_decision_faults(form)
    form_error, status = "", 422
    if not errors:
        try:
            await context.calls.send(
                "delivery",
                "POST",
                f"/api/v1/deliveries/{known_id}/decide",
                dict[str, Any],
                body={"choice": typed.choice, "note": typed.note or None},
                idempotency_key=form.get("form_key"),
            )
        except (UpstreamRefusalError, ProblemError) as error:
            errors = refused_fields(error) if isinstance(error, UpstreamRefusalError) else {}
            form_error, status = "" if errors else refusal_sentence(error), error.status
        else:
            return context.responder.redirect(f"/admin/deliveries/{known_id}", flash=FlashCode.DELIVERY_DECIDED)
    view = await _page(
        context.session, context.calls, context.engine, known_id, typed=typed, errors=errors, form_error=form_error
    )
    return context.responder.page(view, status=status)


async def _page(
    session: Session,
    calls: ServiceCalls,
    engine: AsyncEngine,
    delivery_id: str,
    *,
    typed: TypedAction | None = None,
    errors: FieldErrors = NO_ERRORS,
    form_error: str = "",
) -> DeliveryPage:
    timeline = await calls.get("delivery", f"/api/v1/deliveries/{delivery_id}", DeliveryTimeline)
    issue, names, recipient = await asyncio.gather(
        or_none(ask_issue(calls, timeline.issue_id)),
        names_of([one.decided_by for one in timeline.decisions], engine),
        ask_names(calls, session, [timeline.subscriber_id], newsletter_id=None),
    )
    return DeliveryPage(
        signed_in=session.signed_in,
        delivery=timeline.row,
        issue_id=timeline.issue_id,
        newsletter_id=None if issue is None else issue.newsletter_id,
        issue_title="" if issue is None else issue.title,
        entries=entries_of(timeline, names),
        may_decide=timeline.parked and "deliveries:decide" in session.rights.everywhere,
        names=recipient,
        form_key=secrets.token_urlsafe(16),
        typed=typed or TypedAction(),
        errors=errors,
        form_error=form_error,
    )


def _parse(delivery_id: str) -> str:
    """Raises `NotFoundError` for what is no id of a delivery."""
    if _ID.fullmatch(delivery_id) is None:
        raise NotFoundError
    return delivery_id


DELIVERY_HANDLERS: tuple[HTTPRouteHandler, ...] = (show_delivery, submit_decision)
