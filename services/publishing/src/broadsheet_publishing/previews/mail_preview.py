"""One mail of a newsletter as it will be sent.

Delivery renders the same templates with the same code (`broadsheet_common.mail.issue_mail`).
"""

from datetime import datetime

import msgspec

from broadsheet_common.mail.issue_mail import (
    IssueFacts,
    IssueMail,
    IssueTemplates,
    Reader,
    shared_headers,
    text_of,
    unsubscribe_headers,
)
from broadsheet_common.mail.template_work import Work
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.newsletters.interface import NewsletterRow


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """One mail. Sizes are in UTF-8."""

    sender: str | None
    reply_to: str | None
    to: str
    subject: str
    preheader: str
    html: str | None
    text: str
    headers: tuple[tuple[str, str], ...]


class MailParts(msgspec.Struct, frozen=True, kw_only=True):
    """What one mail is made of. `issue_id` None: the welcome mail."""

    newsletter: NewsletterRow
    reader: Reader
    issue_id: int | None
    templates: IssueTemplates
    preheader: str = ""
    web_url: str = ""
    published_at: datetime | None = None


def render_mail(parts: MailParts, installation: Installation) -> Preview:
    """Two templates of the largest size take a tenth of a second to parse: not for the event loop.

    Raises:
        TemplateError: it cannot be rendered for this reader.
    """
    newsletter = parts.newsletter
    facts = IssueFacts(
        newsletter_name=newsletter.name,
        newsletter_slug=newsletter.slug,
        postal_address=newsletter.postal_address,
        published_at=parts.published_at,
        web_url=parts.web_url,
        tracks_links=newsletter.track_links,
        language=newsletter.language,
    )
    mail = IssueMail(parts.templates, facts).render(parts.reader, Work())
    handles = newsletter.unsubscribe_handling == "custom"
    return Preview(
        sender=newsletter.sender or installation.sender,
        reply_to=newsletter.reply_to,
        to=parts.reader.email,
        subject=mail.subject,
        preheader=parts.preheader,
        html=None if mail.html_body is None else text_of(mail.html_body),
        text=text_of(mail.text_body),
        headers=(
            *(unsubscribe_headers(parts.reader.unsubscribe_url) if handles else ()),
            *shared_headers(
                issue_id=parts.issue_id, newsletter_slug=newsletter.slug, public_url=installation.public_url
            ),
        ),
    )
