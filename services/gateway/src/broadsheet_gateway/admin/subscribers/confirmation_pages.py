"""`/admin/subscribers/{id}/send-confirmation`: the mail that asks to confirm, once more."""

from typing import Any, Final

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from broadsheet_common.http.problems import NotFoundError, ProblemError
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.admin.form_keys import form_key_of
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.service_calls import parse_id, refusal_sentence, refused_fields
from broadsheet_gateway.admin.subscribers.asked import PATH
from broadsheet_gateway.admin.subscribers.list_query import is_record_id
from broadsheet_gateway.admin.subscribers.pages import LIST_PATH
from broadsheet_gateway.admin.subscribers.show_person import show_person
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError
from broadsheet_gateway.http.responses import PageResponse
from broadsheet_gateway.pages import FlashCode

_WRITES: Final = needs("subscribers:read", "subscribers:write")


@post("/subscribers/{subscriber_id:str}/send-confirmation", include_in_schema=False, opt=_WRITES)
async def submit_confirmation(subscriber_id: FromPath[str], context: NamedDependency[PageContext]) -> PageResponse:
    """Refused, the person's page says why beside the button."""
    form = await context.read_form()
    number = parse_id(subscriber_id)
    chosen = form.text("newsletter_id")
    if not is_record_id(chosen):
        raise NotFoundError
    try:
        await context.calls.send(
            "subscriptions",
            "POST",
            f"{PATH}/{number}/send-confirmation",
            dict[str, Any],
            body={"newsletter_id": int(chosen)},
            idempotency_key=form_key_of(form),
        )
    except NotFoundError:
        raise
    except (UpstreamRefusalError, ProblemError) as error:
        faults = refused_fields(error) if isinstance(error, UpstreamRefusalError) else {}
        view = await show_person(context, number, mails=None)
        view = msgspec.structs.replace(
            view,
            form_error=" ".join(faults.values()) or refusal_sentence(error),
            failed_newsletter_id=int(chosen),
        )
        return context.responder.page(view, status=error.status)
    return context.responder.redirect(f"{LIST_PATH}/{number}", flash=FlashCode.CONFIRMATION_SENT_AGAIN)


CONFIRMATION_HANDLERS: tuple[HTTPRouteHandler, ...] = (submit_confirmation,)
