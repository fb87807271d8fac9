"""`/admin/settings/newsletters`: newsletters, and all of their settings.

`/admin/newsletters` is another page: the quick way to publish.
"""

import secrets
from html import escape
from typing import Final

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from broadsheet_common.http.problems import ForbiddenError, UnavailableError
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.newsletters import ask_newsletter as ask
from broadsheet_gateway.admin.newsletters.form import FORM_MAX_BYTES, path_of, refused_save, told, typed_fields
from broadsheet_gateway.admin.newsletters.newsletter import (
    LABELS,
    Fields,
    Newsletter,
    changes_between,
    fields_of,
)
from broadsheet_gateway.admin.newsletters.pictures import picture_of_mail, picture_of_page
from broadsheet_gateway.admin.newsletters.views import (
    NewNewsletterPage,
    NewsletterPage,
    NewslettersPage,
)
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.service_calls import ServiceCalls, or_none, parse_id
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError, UpstreamTimeoutError
from broadsheet_gateway.http.responses import PageResponse, Responder
from broadsheet_gateway.pages import FlashCode

_NEW_FIELDS: Final = ("name", "slug", "description", "from_email", "postal_address", "language", "time_zone")
_READS: Final = needs("newsletters:read")
_WRITES: Final = needs("newsletters:read", "newsletters:write")
_CREATES: Final = needs("newsletters:read", "newsletters:write", everywhere=True)


@get("/settings/newsletters", include_in_schema=False, opt=_READS)
async def show_newsletters(
    context: NamedDependency[PageContext],
) -> PageResponse:
    with_archived = context.request.query_params.get("archived") == "yes"
    found = await or_none(
        ask.ask_newsletters(
            context.calls, with_archived=with_archived, cursor=context.request.query_params.get("cursor")
        )
    )
    view = NewslettersPage(
        signed_in=context.session.signed_in,
        flashes=context.flashes,
        newsletters=None if found is None else tuple(found.items),
        next_cursor=None if found is None else found.next_cursor,
        with_archived=with_archived,
    )
    return context.responder.page(view)


@get("/settings/newsletters/new", include_in_schema=False, opt=_CREATES)
async def show_new_newsletter(session: NamedDependency[Session], responder: NamedDependency[Responder]) -> PageResponse:
    fields = dict.fromkeys(_NEW_FIELDS, "") | {"language": "en", "time_zone": "UTC"}
    return responder.page(
        NewNewsletterPage(signed_in=session.signed_in, fields=fields, idempotency_key=secrets.token_urlsafe(16))
    )


@post("/settings/newsletters", include_in_schema=False, opt=_CREATES)
async def submit_new_newsletter(
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form()
    fields = dict(typed_fields(form, _NEW_FIELDS))
    key = form.required("idempotency_key")
    view = NewNewsletterPage(signed_in=context.session.signed_in, fields=fields, idempotency_key=key)
    if not fields["name"].strip():
        return context.responder.page(msgspec.structs.replace(view, errors={"name": "A name is needed."}), status=422)
    body: dict[str, object] = {name: value for name, value in fields.items() if value.strip()}
    try:
        made = await ask.create_newsletter(context.calls, body, idempotency_key=key)
    except (UpstreamRefusalError, UnavailableError, UpstreamTimeoutError) as refused:
        errors, form_error, status = told(refused)
        # The key belongs to what was refused: what is sent next is another request.
        again = msgspec.structs.replace(
            view, errors=errors, form_error=form_error, idempotency_key=secrets.token_urlsafe(16)
        )
        return context.responder.page(
            again if errors else msgspec.structs.replace(again, idempotency_key=key), status=status
        )
    return context.responder.redirect(path_of(made.id), flash=FlashCode.NEWSLETTER_CREATED)


@get("/settings/newsletters/{newsletter_id:str}", include_in_schema=False, opt=_WRITES)
async def show_newsletter(
    newsletter_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    view = await _page_of(context.session, context.calls, parse_id(newsletter_id))
    return context.responder.page(msgspec.structs.replace(view, flashes=context.flashes))


@post("/settings/newsletters/{newsletter_id:str}", include_in_schema=False, opt=_WRITES)
async def submit_newsletter_settings(
    newsletter_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form(max_bytes=FORM_MAX_BYTES)
    number = parse_id(newsletter_id)
    view = await _page_of(context.session, context.calls, number)
    saved, typed = view.fields, typed_fields(form, LABELS)
    body = changes_between(saved, typed)
    try:
        if body:
            await ask.change_newsletter(context.calls, number, body, if_match=form.required("version"))
    except (UpstreamRefusalError, UnavailableError, UpstreamTimeoutError, ForbiddenError) as refused:
        again, status = await refused_save(
            view,
            LABELS,
            typed,
            refused,
            version=form.required("version"),
            read_again=lambda: _page_of(context.session, context.calls, number),
        )
        return context.responder.page(again, status=status)
    return context.responder.redirect(path_of(number), flash=FlashCode.NEWSLETTER_SAVED)


@post("/settings/newsletters/{newsletter_id:str}/archive", include_in_schema=False, opt=_WRITES)
async def submit_archive(
    newsletter_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    """Archives it, or takes it back: `archived` is `yes` or `no`."""
    form = await context.read_form()
    number = parse_id(newsletter_id)
    is_archived = form.required("archived") == "yes"
    try:
        await ask.set_archived(context.calls, number, is_archived=is_archived)
    except (UpstreamRefusalError, UnavailableError, UpstreamTimeoutError) as refused:
        _, form_error, status = told(refused)
        view = msgspec.structs.replace(await _page_of(context.session, context.calls, number), form_error=form_error)
        return context.responder.page(view, status=status)
    flash = FlashCode.NEWSLETTER_ARCHIVED if is_archived else FlashCode.NEWSLETTER_UNARCHIVED
    return context.responder.redirect(path_of(number), flash=flash)


@post("/settings/newsletters/{newsletter_id:str}/welcome-test", include_in_schema=False, opt=_WRITES)
async def submit_welcome_test(
    newsletter_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form()
    number = parse_id(newsletter_id)
    typed = form.text("test_to")
    to = [one for one in typed.replace(",", " ").replace(";", " ").split() if one]
    errors: dict[str, str] = {}
    form_error, status = "", 422
    if not to:
        errors["test_to"] = "Enter at least one address."
    elif len(to) > ask.ADDRESSES_TESTED_MAX:
        errors["test_to"] = f"At most {ask.ADDRESSES_TESTED_MAX} addresses; these are {len(to)}."
    else:
        try:
            await ask.test_welcome(context.calls, number, to, idempotency_key=form.required("test_key"))
        except (UpstreamRefusalError, UnavailableError, UpstreamTimeoutError) as refused:
            refusals, form_error, status = told(refused)
            errors = {"test_to" if name == "to" else name: detail for name, detail in refusals.items()}
        else:
            return context.responder.redirect(f"{path_of(number)}#test", flash=FlashCode.WELCOME_TEST_SENT)
    view = await _page_of(context.session, context.calls, number)
    return context.responder.page(
        msgspec.structs.replace(view, errors=errors, form_error=form_error, test_to=typed), status=status
    )


@get("/settings/newsletters/{newsletter_id:str}/page", include_in_schema=False, opt=_WRITES)
async def show_picture_of_page(
    newsletter_id: FromPath[str], responder: NamedDependency[Responder], calls: NamedDependency[ServiceCalls]
) -> PageResponse:
    newsletter = (await ask.ask_newsletter(calls, parse_id(newsletter_id))).value
    return picture_of_page(responder, newsletter, fields_of(newsletter))


@post("/settings/newsletters/{newsletter_id:str}/page", status_code=200, include_in_schema=False, opt=_WRITES)
async def show_picture_of_page_as_typed(
    newsletter_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form(max_bytes=FORM_MAX_BYTES)
    newsletter = (await ask.ask_newsletter(context.calls, parse_id(newsletter_id))).value
    return picture_of_page(context.responder, newsletter, typed_fields(form, LABELS))


@get("/settings/newsletters/{newsletter_id:str}/welcome", include_in_schema=False, opt=_WRITES)
async def show_picture_of_mail(newsletter_id: FromPath[str], calls: NamedDependency[ServiceCalls]) -> PageResponse:
    return await _picture_of_mail(calls, parse_id(newsletter_id), None)


@post("/settings/newsletters/{newsletter_id:str}/welcome", status_code=200, include_in_schema=False, opt=_WRITES)
async def show_picture_of_mail_as_typed(
    newsletter_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form(max_bytes=FORM_MAX_BYTES)
    return await _picture_of_mail(context.calls, parse_id(newsletter_id), typed_fields(form, LABELS))


async def _picture_of_mail(calls: ServiceCalls, newsletter_id: int, typed: Fields | None) -> PageResponse:
    """In the frame, also why there is none: it is a document of its own, which has none of our style."""
    try:
        mail = await ask.preview_welcome(calls, newsletter_id, typed)
    except (UpstreamRefusalError, UnavailableError, UpstreamTimeoutError) as refused:
        errors, sentence, _ = told(refused)
        said = "".join(f"<li>{escape(detail)}</li>" for detail in errors.values()) or f"<li>{escape(sentence)}</li>"
        return picture_of_mail(
            f"<!doctype html><title>No mail</title><p>There is no mail to show yet:</p><ul>{said}</ul>"
        )
    return picture_of_mail(mail.html or f"<!doctype html><title>Plain text</title><pre>{escape(mail.text)}</pre>")


async def _page_of(session: Session, calls: ServiceCalls, newsletter_id: int) -> NewsletterPage:
    """Raises `NotFoundError`, `ForbiddenError`, and what says that publishing does not answer."""
    tagged = await ask.ask_newsletter(calls, newsletter_id)
    newsletter: Newsletter = tagged.value
    layouts = await ask.ask_layouts(calls, chosen=newsletter.layout_id)
    return NewsletterPage(
        signed_in=session.signed_in,
        newsletter=newsletter,
        fields=fields_of(newsletter),
        version=tagged.etag,
        layouts=layouts,
        test_key=secrets.token_urlsafe(16),
    )


NEWSLETTER_HANDLERS: tuple[HTTPRouteHandler, ...] = (
    show_newsletters, show_new_newsletter, submit_new_newsletter, show_newsletter, submit_newsletter_settings,
    submit_archive, submit_welcome_test, show_picture_of_page, show_picture_of_page_as_typed, show_picture_of_mail,
    show_picture_of_mail_as_typed,
)  # fmt: skip
