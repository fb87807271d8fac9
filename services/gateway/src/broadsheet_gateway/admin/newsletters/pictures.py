"""What the frames beside a newsletter's settings show: its sign-up page, and its welcome mail.

Each is a document of its own under a policy of its own. The page is of our own making, so it keeps its origin, for its
style sheet; it runs no scripts and sends no forms. The mail holds what authors wrote: it has no origin at all.
"""

import re
from typing import Final

from litestar import Response

from broadsheet_common.contracts.consent_wording import current_wording
from broadsheet_gateway.admin.newsletters.newsletter import YES, Fields, Newsletter
from broadsheet_gateway.http.responses import HTML, PageResponse, Responder
from broadsheet_gateway.pages.for_readers.newsletter_look import NewsletterLook
from broadsheet_gateway.pages.views import FormProof, HomePage
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


def picture_of_page(responder: Responder, newsletter: Newsletter, fields: Fields) -> PageResponse:
    """The sign-up page as it would be with these settings. What is no colour yet is shown as the one that is saved."""
    path = f"/newsletters/{newsletter.slug}"
    look = NewsletterLook(
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
    )
    wording = current_wording(look.words)
    view = HomePage(
        look=look,
        action_path=path,
        proof=FormProof(ticket="", wording_version=wording.version, wording=wording.text),
        heading=fields["sign_up_heading"],
        text=fields["sign_up_text"],
        button=fields["sign_up_button"],
        tracking=tracking_notice(
            opens=fields["track_opens"] == YES, links=fields["track_links"] == YES, language=look.words
        ),
    )
    return responder.page(view, headers={"Content-Security-Policy": _PAGE_POLICY})


def picture_of_mail(html: str) -> PageResponse:
    return Response(html, media_type=HTML, headers={"Content-Security-Policy": _MAIL_POLICY})
