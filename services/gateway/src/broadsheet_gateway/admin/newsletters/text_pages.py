"""`/admin/settings/newsletters/{id}/texts`: a newsletter's own words on its pages and in its mails for readers."""

from html import escape
from typing import Final, cast, get_args

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from broadsheet_common.http.problems import ForbiddenError, NotFoundError, UnavailableError
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.newsletters import ask_newsletter as ask
from broadsheet_gateway.admin.newsletters.form import FORM_MAX_BYTES, path_of, refused_save, told, typed_fields
from broadsheet_gateway.admin.newsletters.newsletter import Fields
from broadsheet_gateway.admin.newsletters.pictures import MAIL_PICTURES, picture_of_mail, picture_of_words
from broadsheet_gateway.admin.newsletters.reader_texts import (
    TEXT_LABELS,
    Picture,
    changed_texts,
    text_fields_of,
    texts_of_mails,
)
from broadsheet_gateway.admin.newsletters.views import NewsletterTextsPage
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.service_calls import ServiceCalls, parse_id
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError, UpstreamTimeoutError
from broadsheet_gateway.http.responses import PageResponse, Responder
from broadsheet_gateway.pages import FlashCode

_WRITES: Final = needs("newsletters:read", "newsletters:write")


@get("/settings/newsletters/{newsletter_id:str}/texts", include_in_schema=False, opt=_WRITES)
async def show_texts(newsletter_id: FromPath[str], context: NamedDependency[PageContext]) -> PageResponse:
    view = await _page_of(context.session, context.calls, parse_id(newsletter_id))
    return context.responder.page(msgspec.structs.replace(view, flashes=context.flashes))


@post("/settings/newsletters/{newsletter_id:str}/texts", include_in_schema=False, opt=_WRITES)
async def submit_texts(newsletter_id: FromPath[str], context: NamedDependency[PageContext]) -> PageResponse:
    """Only what was changed is sent, with the version that was shown."""
    form = await context.read_form(max_bytes=FORM_MAX_BYTES)
    number = parse_id(newsletter_id)
    view = await _page_of(context.session, context.calls, number)
    typed = typed_fields(form, TEXT_LABELS)
    texts = changed_texts(view.fields, typed)
    try:
        if texts:
            await ask.change_newsletter(context.calls, number, {"texts": texts}, if_match=form.required("version"))
    except (UpstreamRefusalError, UnavailableError, UpstreamTimeoutError, ForbiddenError) as refused:
        again, status = await refused_save(
            view,
            TEXT_LABELS,
            typed,
            refused,
            version=form.required("version"),
            read_again=lambda: _page_of(context.session, context.calls, number),
        )
        return context.responder.page(again, status=status)
    return context.responder.redirect(f"{path_of(number)}/texts", flash=FlashCode.NEWSLETTER_TEXTS_SAVED)


@get("/settings/newsletters/{newsletter_id:str}/texts/{picture:str}", include_in_schema=False, opt=_WRITES)
async def show_picture(
    newsletter_id: FromPath[str],
    picture: FromPath[str],
    responder: NamedDependency[Responder],
    calls: NamedDependency[ServiceCalls],
) -> PageResponse:
    return await _picture(responder, calls, parse_id(newsletter_id), _parse(picture), None)


@post(
    "/settings/newsletters/{newsletter_id:str}/texts/{picture:str}",
    status_code=200,
    include_in_schema=False,
    opt=_WRITES,
)
async def show_picture_as_typed(
    newsletter_id: FromPath[str], picture: FromPath[str], context: NamedDependency[PageContext]
) -> PageResponse:
    form = await context.read_form(max_bytes=FORM_MAX_BYTES)
    typed = typed_fields(form, TEXT_LABELS)
    return await _picture(context.responder, context.calls, parse_id(newsletter_id), _parse(picture), typed)


def _parse(picture: str) -> Picture:
    if picture not in get_args(Picture):
        raise NotFoundError
    return cast("Picture", picture)


async def _picture(
    responder: Responder, calls: ServiceCalls, newsletter_id: int, picture: Picture, typed: Fields | None
) -> PageResponse:
    """With what is saved, if `typed` is None."""
    if picture not in MAIL_PICTURES:
        newsletter = (await ask.ask_newsletter(calls, newsletter_id)).value
        return picture_of_words(responder, newsletter, picture, typed or text_fields_of(newsletter))
    texts = {} if typed is None else texts_of_mails(typed)
    try:
        mail = await ask.preview_sign_up_mail(calls, newsletter_id, MAIL_PICTURES[picture], texts)
    except (UpstreamRefusalError, UnavailableError, UpstreamTimeoutError) as refused:
        errors, sentence, _ = told(refused)
        said = " ".join(errors.values()) or sentence
        return picture_of_mail(f"<!doctype html><title>No mail</title><p>{escape(said)}</p>")
    return picture_of_mail(mail.html or f"<!doctype html><title>Plain text</title><pre>{escape(mail.text)}</pre>")


async def _page_of(session: Session, calls: ServiceCalls, newsletter_id: int) -> NewsletterTextsPage:
    """Raises `NotFoundError`, `ForbiddenError`, and what says that publishing does not answer."""
    tagged = await ask.ask_newsletter(calls, newsletter_id)
    return NewsletterTextsPage(
        signed_in=session.signed_in,
        newsletter=tagged.value,
        fields=text_fields_of(tagged.value),
        version=tagged.etag,
    )


NEWSLETTER_TEXT_HANDLERS: tuple[HTTPRouteHandler, ...] = (
    show_texts, submit_texts, show_picture, show_picture_as_typed,
)  # fmt: skip
