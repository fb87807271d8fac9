"""`/admin/newsletters`: the quick way to publish an issue, as in the original."""

import base64
import re
import secrets
from typing import Any

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler

from broadsheet_common.http.problems import BodyTooLargeError, ProblemError
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.accounts.session_form import check_form_token, require_still_allowed
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.quick_publish.views import NewsletterFormPage
from broadsheet_gateway.admin.service_calls import refusal_sentence, refused_fields
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError
from broadsheet_gateway.http import csrf
from broadsheet_gateway.http.forms import read_form
from broadsheet_gateway.http.responses import PageResponse, Responder
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.settings import NEWSLETTER_FORM_BODY_MAX_BYTES

KEY_MAX_BYTES = 49
_HEADER_SAFE = re.compile(r"[!-~]+")


class TypedIssue(msgspec.Struct, frozen=True):
    """The form's fields as they were typed."""

    title: str
    text_content: str
    html_content: str
    idempotency_key: str


def find_faults(typed: TypedIssue) -> dict[str, str]:
    """What the original's form refuses, by field."""
    faults: dict[str, str] = {}
    if not typed.title.strip():
        faults["title"] = "A title is needed."
    if not typed.text_content.strip():
        faults["text_content"] = "A plain text version is needed."
    if not typed.html_content.strip():
        faults["html_content"] = "An HTML version is needed."
    if not typed.idempotency_key.strip():
        faults["idempotency_key"] = "The idempotency key must not be empty."
    elif len(typed.idempotency_key.encode()) > KEY_MAX_BYTES:
        faults["idempotency_key"] = f"The idempotency key must be at most {KEY_MAX_BYTES} bytes long."
    return faults


def to_header_value(key: str) -> str:
    """The key as an `Idempotency-Key`: as it is, or encoded where a header could not carry it."""
    if _HEADER_SAFE.fullmatch(key):
        return key
    return "utf8-" + base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


@get("/newsletters", include_in_schema=False, opt=needs("issues:write", "issues:publish"))
async def show_newsletter_form(context: NamedDependency[PageContext]) -> PageResponse:
    view = NewsletterFormPage(
        signed_in=context.session.signed_in, flashes=context.flashes, idempotency_key=secrets.token_urlsafe(16)
    )
    return context.responder.page(view)


@post("/newsletters", include_in_schema=False, opt=needs("issues:write", "issues:publish"))
async def submit_newsletter(
    context: NamedDependency[PageContext],
) -> PageResponse:
    """Publishes in one call: the issue, its key and the start of its fan-out are one transaction of publishing's."""
    csrf.check_origin(context.request.headers, public_origin=context.settings.public_origin)
    form = await read_form(
        context.request.receive,
        context.request.headers,
        max_bytes=NEWSLETTER_FORM_BODY_MAX_BYTES,
        timeout_s=context.settings.body_timeout_s,
    )
    typed = TypedIssue(
        title=form.text("title"),
        text_content=form.text("text_content"),
        html_content=form.text("html_content"),
        idempotency_key=form.text("idempotency_key"),
    )
    try:
        check_form_token(context.request, context.session, context.settings, form)
        await require_still_allowed(context.request, context.session)
    except csrf.CsrfTokenError as error:
        # Writing an issue takes time: it must survive a session that was renewed in another tab.
        message = "This page was out of date, and nothing was published. Send the form once more."
        return _form_again(context.responder, context.session, typed, status=error.status, form_error=message)
    faults = find_faults(typed)
    if faults:
        return _form_again(context.responder, context.session, typed, status=400, errors=faults)
    try:
        await context.upstreams.call(
            "publishing",
            "POST",
            "/api/v1/issues",
            identity=context.session.identity,
            answer=dict[str, Any],
            headers={"idempotency-key": to_header_value(typed.idempotency_key)},
            body={
                "title": typed.title,
                "text_content": typed.text_content,
                "format": "html",
                "content": typed.html_content,
                "publish": True,
            },
        )
    except UpstreamRefusalError as refusal:
        return _refused(refusal, context.responder, context.session, typed)
    except BodyTooLargeError as error:
        message = "The issue is too large: title, text and HTML may have 10 MB together."
        return _form_again(context.responder, context.session, typed, status=error.status, form_error=message)
    except ProblemError as error:
        message = "The issue was not accepted, because a service does not answer. Send it again in a moment."
        return _form_again(
            context.responder,
            context.session,
            typed,
            status=error.status,
            form_error=message,
            headers=dict(error.headers),
        )
    return context.responder.redirect("/admin/newsletters", flash=FlashCode.NEWSLETTER_ACCEPTED)


def _refused(refusal: UpstreamRefusalError, responder: Responder, session: Session, typed: TypedIssue) -> PageResponse:
    match refusal.slug:
        case "no-recipients":
            return responder.redirect("/admin/newsletters", flash=FlashCode.NO_RECIPIENTS)
        case "idempotency-key-reused":
            message = (
                "This form was sent before with other content, and that issue went out. To publish this one as well, "
                "open a new form."
            )
            return _form_again(responder, session, typed, status=422, form_error=message)
        case "idempotency-in-flight":
            message = "The same form is being processed. Send it again in a second to see the result."
            headers = {"Retry-After": refusal.headers.get("retry-after", "1")}
            return _form_again(responder, session, typed, status=409, form_error=message, headers=headers)
        case "newsletter-not-ready" | "not-approved":
            # What is missing is no field of this form.
            return _form_again(responder, session, typed, status=409, form_error=refusal_sentence(refusal))
        case _:
            errors = {_FIELD_OF.get(name, name): detail for name, detail in refused_fields(refusal).items()}
            status = 400 if errors else refusal.status
            form_error = "" if errors else refusal_sentence(refusal)
            return _form_again(responder, session, typed, status=status, errors=errors, form_error=form_error)


def _form_again(
    responder: Responder,
    session: Session,
    typed: TypedIssue,
    *,
    status: int,
    errors: dict[str, str] | None = None,
    form_error: str = "",
    headers: dict[str, str] | None = None,
) -> PageResponse:
    """The form with everything that was typed. The key stays the same, so that sending it again is safe."""
    faults = errors or {}
    view = NewsletterFormPage(
        signed_in=session.signed_in,
        idempotency_key=secrets.token_urlsafe(16) if "idempotency_key" in faults else typed.idempotency_key,
        title=typed.title,
        text_content=typed.text_content,
        html_content=typed.html_content,
        errors=faults,
        form_error=form_error,
    )
    return responder.page(view, status=status, headers=headers)


_FIELD_OF = {"content": "html_content"}
"""The form's fields whose name is another than the API's."""

QUICK_PUBLISH_HANDLERS: tuple[HTTPRouteHandler, ...] = (show_newsletter_form, submit_newsletter)
