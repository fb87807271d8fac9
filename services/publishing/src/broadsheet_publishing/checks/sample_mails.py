"""Mails to look at before an issue is sent, made by the code that delivery makes them with; pure, but it takes time.

The longest mail is the longest of several people: nobody knows every reader's values, but each value has a bound.
Which branch of a condition is the longest depends on the template, so the people differ in what they lack.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from broadsheet_common.mail import mail_template
from broadsheet_common.mail.email_address import MAX_LENGTH
from broadsheet_common.mail.mail_body import Footer, HtmlBody, TextBody, text_shows_link
from broadsheet_common.mail.mail_subject import Subject
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
    compiled: CompiledIssue, values: MailValues, footer: Footer, *, others: tuple[MailValues, ...] = ()
) -> Rendered | RenderingFault:
    """`values`: of the sample person. `others`: more people to measure, such as with long attributes."""
    try:
        mails = _Mails(compiled, footer)
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
    def __init__(self, compiled: CompiledIssue, footer: Footer) -> None:
        """Raises `TemplateError`."""
        self._footer = footer
        self._subject = Subject(compiled.subject)
        self._html_template = (
            None if compiled.html_content is None else mail_template.parse(compiled.html_content, "html")
        )
        self._text_template = mail_template.parse(compiled.text_content, "text")
        self._html = None if self._html_template is None else HtmlBody(self._html_template, footer)
        self._text = TextBody(self._text_template, footer)

    def _render(self, values: MailValues) -> tuple[str, str | None, str]:
        work = Work()
        subject = self._subject.render(values, work)
        if not self._subject.is_plain:
            values = msgspec.structs.replace(values, issue_title=subject)
        html = None if self._html is None else _text_of(self._html.render(values, work))
        return subject, html, _text_of(self._text.render(values, work))

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


def _text_of(body: str | msgspec.Raw) -> str:
    """Delivery puts bodies into its request as JSON; here they are read again."""
    return body if isinstance(body, str) else msgspec.json.decode(body, type=str)
