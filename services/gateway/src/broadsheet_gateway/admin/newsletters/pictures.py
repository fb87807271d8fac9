"""What the frames beside a newsletter's settings show: its pages for readers, and its mails.

Each is a document of its own under a policy of its own. The page is of our own making, so it keeps its origin, for its
style sheet; it runs no scripts and sends no forms. The mail holds what authors wrote: it has no origin at all.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec
from litestar import Response

from broadsheet_common.contracts.consent_wording import current_wording
from broadsheet_common.languages.reader_texts import ReaderTexts
from broadsheet_gateway.admin.newsletters.newsletter import YES, Fields, Newsletter, fields_of
from broadsheet_gateway.admin.newsletters.reader_texts import Picture, as_texts
from broadsheet_gateway.http.responses import HTML, PageResponse, Responder
from broadsheet_gateway.pages.archive_views import ArchiveIssues, ArchiveLook
from broadsheet_gateway.pages.for_readers.newsletter_look import NewsletterLook
from broadsheet_gateway.pages.views import (
    CheckInboxPage,
    ConfirmedPage,
    ConfirmPage,
    FormProof,
    HomePage,
    PageView,
    UnsubscribedPage,
    UnsubscribePage,
)
from broadsheet_gateway.sign_up.tracking_notice import tracking_notice

_COLOUR: Final = re.compile("#[0-9a-f]{6}")
_PAGE_POLICY: Final = (
    "sandbox allow-same-origin; default-src 'none'; style-src 'self'; img-src 'self' https: data:; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'self'"
)
_MAIL_POLICY: Final = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src https: http: data:; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'self'"
)

MAIL_PICTURES: Final[Mapping[str, str]] = MappingProxyType(
    {"confirmation-mail": "confirmation", "already-subscribed-mail": "already_subscribed"}
)
"""The pictures that are mails, as subscriptions names them."""


def picture_of_page(responder: Responder, newsletter: Newsletter, fields: Fields) -> PageResponse:
    """The sign-up page as it would be with these settings. What is no colour yet is shown as the one that is saved."""
    return _shown(responder, _sign_up_page(_look(newsletter, fields, newsletter.texts), fields))


def picture_of_words(
    responder: Responder, newsletter: Newsletter, picture: Picture, text_fields: Fields
) -> PageResponse:
    """A page for readers as it would be with these words. `picture` is none of `MAIL_PICTURES`."""
    settings = fields_of(newsletter)
    look = _look(newsletter, settings, as_texts(text_fields))
    view: PageView
    match picture:
        case "check-inbox":
            view = CheckInboxPage(look=look, page_path=look.page_path)
        case "confirm":
            view = ConfirmPage(look=look, token="", state="pending")
        case "confirmed":
            view = ConfirmedPage(look=look)
        case "unsubscribe":
            view = UnsubscribePage(look=look, action_path="/")
        case "unsubscribed":
            view = UnsubscribedPage(look=look)
        case "archive":
            view = ArchiveIssues(look=_archive_look(look, settings), canonical_url=look.page_path, items=())
        case _:
            view = _sign_up_page(look, settings)
    return _shown(responder, view)


def _look(newsletter: Newsletter, fields: Fields, texts: ReaderTexts) -> NewsletterLook:
    path = f"/newsletters/{newsletter.slug}"
    return NewsletterLook(
        newsletter_name=fields["name"] or newsletter.name,
        slug=newsletter.slug,
        page_path=path,
        archive_path=f"{path}/issues" if fields["has_archive"] == YES else "",
        description=fields["description"],
        language=fields["language"] or newsletter.language,
        direction="rtl" if fields["direction"] == "rtl" else "ltr",
        accent_colour=colour if _COLOUR.fullmatch(colour := fields["accent_colour"]) else newsletter.accent_colour,
        logo_url=fields["logo_url"] or None,
        logo_alt=fields["logo_alt"],
        texts=texts,
    )


def _sign_up_page(look: NewsletterLook, fields: Fields) -> HomePage:
    wording = current_wording(look.words)
    return HomePage(
        look=look,
        action_path=look.page_path,
        proof=FormProof(ticket="", wording_version=wording.version, wording=wording.text),
        heading=fields["sign_up_heading"],
        text=fields["sign_up_text"],
        button=fields["sign_up_button"],
        tracking=tracking_notice(
            opens=fields["track_opens"] == YES, links=fields["track_links"] == YES, language=look.words
        ),
    )


def _archive_look(look: NewsletterLook, fields: Fields) -> ArchiveLook:
    return ArchiveLook(
        **msgspec.structs.asdict(look),
        is_hidden=True,
        sign_up_heading=fields["sign_up_heading"],
        sign_up_text=fields["sign_up_text"],
        sign_up_button=fields["sign_up_button"],
        archive_heading=look.texts.archive_heading,
    )


def _shown(responder: Responder, view: PageView) -> PageResponse:
    return responder.page(view, headers={"Content-Security-Policy": _PAGE_POLICY})


def picture_of_mail(html: str) -> PageResponse:
    return Response(html, media_type=HTML, headers={"Content-Security-Policy": _MAIL_POLICY})
