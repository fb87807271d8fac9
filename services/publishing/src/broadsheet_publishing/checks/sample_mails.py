"""Mails to look at before an issue is sent, made by the code that delivery makes them with; pure, but it takes time.

The longest mail is the longest of several people: nobody knows every reader's values, but each value has a bound.
Which branch of a condition is the longest depends on the template, so the people differ in what they lack.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec

from broadsheet_common.mail import mail_template
from broadsheet_common.mail.email_address import MAX_LENGTH
from broadsheet_common.mail.issue_mail import IssueFacts, IssueMail, IssueTemplates, Reader, text_of
from broadsheet_common.mail.mail_body import Footer, text_shows_link
from broadsheet_common.mail.mail_template import MailValues
from broadsheet_common.mail.template_work import TemplateError, Work
from broadsheet_common.mail.visible_html import look_at_html
from broadsheet_publishing.checks.checked_issue import Rendered, RenderedMail, RenderingFault
from broadsheet_publishing.compiling.compiled_issue import CompiledIssue

LONG_NAME: Final = "&" * 256
"""As many characters as a name may have, of the one that grows most in HTML: `&amp;`."""
_LONG_ADDRESS: Final = f"{'a' * 64}@{'b' * (MAX_LENGTH - 65)}"
_URL_CHARS_MAX: Final = 300


def people(sample: MailValues) -> Iterator[MailValues]:
    """The sample person, somebody with long values, and somebody without a name."""
    yield sample
    yield msgspec.structs.replace(
        sample,
        subscriber_name=LONG_NAME,
        subscriber_email=_LONG_ADDRESS,
        unsubscribe_url=sample.unsubscribe_url.ljust(_URL_CHARS_MAX, "x"),
    )
    yield msgspec.structs.replace(sample, subscriber_name="")


def render_samples(
    compiled: CompiledIssue,
    values: MailValues,
    footer: Footer,
    *,
    tracks_links: bool,
    others: tuple[MailValues, ...] = (),
) -> Rendered | RenderingFault:
    """`values`: of the sample person. `tracks_links`: as the newsletter does; delivery then exempts the links by which
    a reader leaves. `others`: more people to measure, such as with long attributes.
    """
    try:
        mails = _Mails(compiled, values, footer, tracks_links=tracks_links)
        sample = mails.sample(values)
        sizes = [mails.size(one) for one in (*people(values), *others)]
    except TemplateError as error:
        return RenderingFault(str(error))
    return Rendered(
        sample=sample,
        html_bytes_max=max(html for html, _ in sizes),
        text_bytes_max=max(text for _, text in sizes),
    )


class _Mails:
    def __init__(self, compiled: CompiledIssue, values: MailValues, footer: Footer, *, tracks_links: bool) -> None:
        """Raises `TemplateError`."""
        self._footer = footer
        self._html_template = (
            None if compiled.html_content is None else mail_template.parse(compiled.html_content, "html")
        )
        self._text_template = mail_template.parse(compiled.text_content, "text")
        self._mail = IssueMail(
            IssueTemplates(
                title=compiled.title,
                subject=compiled.subject,
                html_content=compiled.html_content,
                text_content=compiled.text_content,
            ),
            IssueFacts(
                newsletter_name=footer.newsletter_name,
                newsletter_slug=values.newsletter_slug,
                postal_address=footer.postal_address,
                published_at=datetime.fromisoformat(values.issue_published_on or "2026-01-31").replace(tzinfo=UTC),
                web_url=values.web_url,
                tracks_links=tracks_links,
                language=footer.language,
            ),
        )

    def _render(self, values: MailValues) -> tuple[str, str | None, str]:
        reader = Reader(
            name=values.subscriber_name,
            email=values.subscriber_email,
            tags=values.subscriber_tags,
            attributes=values.subscriber_attributes,
            unsubscribe_url=values.unsubscribe_url,
            preferences_url=values.preferences_url,
        )
        mail = self._mail.render(reader, Work())
        return mail.subject, None if mail.html_body is None else text_of(mail.html_body), text_of(mail.text_body)

    def size(self, values: MailValues) -> tuple[int, int]:
        _, html, text = self._render(values)
        return len((html or "").encode()), len(text.encode())

    def sample(self, values: MailValues) -> RenderedMail:
        subject, html, text = self._render(values)
        link = values.unsubscribe_url
        if self._html_template is None or html is None:
            before = self._text_template.render(values)
            seen_before, seen = before, text
            shows_link, final_shows_link = text_shows_link(before, link), text_shows_link(text, link)
        else:
            look_before, look = look_at_html(self._html_template.render(values), link), look_at_html(html, link)
            seen_before, seen = look_before.text, look.text
            shows_link, final_shows_link = look_before.shows_link, look.shows_link
        return RenderedMail(
            subject=subject,
            html=html,
            text=text,
            shows_link=shows_link,
            shows_address=self._shows_address(seen_before),
            final_shows_link=final_shows_link,
            final_shows_address=self._shows_address(seen),
            unsubscribe_url=link,
        )

    def _shows_address(self, text: str) -> bool:
        wanted = " ".join(self._footer.postal_address.split())
        return bool(wanted) and wanted in " ".join(text.split())
