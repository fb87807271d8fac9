"""An issue as everybody may read it: its templates rendered for nobody in particular, and made safe for a page; pure.

The reader of a page is unknown: no name, no address, no tags, no attributes. Where a mail would lead to its reader's
own page, to leave or to choose, this leads to the newsletter's sign-up page.
"""

import html
import re
from datetime import UTC, datetime
from functools import cache
from typing import Final, cast

import msgspec
from markdown_it import MarkdownIt
from mdit_py_plugins.gfm_autolink import gfm_autolink_plugin
from selectolax.lexbor import LexborHTMLParser, LexborNode

from broadsheet_common.mail.issue_mail import IssueFacts, IssueMail, IssueTemplates, Reader, text_of
from broadsheet_common.mail.mail_subject import Subject
from broadsheet_common.mail.merge_fields import SUBJECT_VARIABLES, MailValues
from broadsheet_common.mail.template_work import TemplateError, Work
from broadsheet_publishing.archive.safe_html import safe_html, without_acting_addresses
from broadsheet_publishing.checks.reading.nesting import why_not_parsed

SUMMARY_CHARS_MAX: Final = 200

_HIDDEN: Final = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all)", re.IGNORECASE)
_SPACES: Final = re.compile(r"\s+")


class WebPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Whose issue it is, and where it stands. `public_url` has no slash at its end."""

    newsletter_name: str
    newsletter_slug: str
    postal_address: str
    published_at: datetime
    public_url: str
    issue_slug: str

    @property
    def sign_up_url(self) -> str:
        return f"{self.public_url}/newsletters/{self.newsletter_slug}"

    @property
    def web_url(self) -> str:
        return f"{self.sign_up_url}/issues/{self.issue_slug}"


class WebLines(msgspec.Struct, frozen=True):
    """What lists show of an issue: plain text. The summary is empty if its author wrote no preheader."""

    title: str
    summary: str


class WebContent(msgspec.Struct, frozen=True):
    """`html` is safe to stand in a page. `keeps_look`: it has inline styles of its own."""

    html: str
    keeps_look: bool
    text_start: str
    """The first `SUMMARY_CHARS_MAX` characters of its text."""


def render_lines(title: str, preheader: str, place: WebPlace) -> WebLines:
    """A template that cannot be rendered for nobody is left out: the newsletter's name is there for a title."""
    shown = _line(title, place, _values(place)) or place.newsletter_name
    values = msgspec.structs.replace(_values(place), issue_title=shown)
    summary = _line(preheader, place, values) if preheader else ""
    return WebLines(shown, "" if summary == place.newsletter_name else summary)


def render_content(
    *, title: str, html_content: str | None, text_content: str, place: WebPlace, shown_title: str
) -> WebContent:
    """Up to a second, for the longest mails: not on the event loop. `shown_title`: what the page has as its heading.

    Raises:
        TemplateError: it cannot be rendered for a reader of whom nothing is known.
    """
    mail = IssueMail(
        # The subject is not shown.
        IssueTemplates(title=title, subject=title, html_content=html_content, text_content=text_content),
        IssueFacts(
            newsletter_name=place.newsletter_name,
            newsletter_slug=place.newsletter_slug,
            postal_address=place.postal_address,
            published_at=place.published_at,
            web_url=place.web_url,
        ),
    )
    nobody = Reader(name="", email="", unsubscribe_url=place.sign_up_url, preferences_url=place.sign_up_url)
    rendered = mail.render(nobody, Work())
    if rendered.html_body is not None:
        document = text_of(rendered.html_body)
        if why_not_parsed(document) is None:
            return _from_html(document, place, shown_title)
    return _from_text(text_of(rendered.text_body), place)


def _values(place: WebPlace) -> MailValues:
    return MailValues(
        subscriber_name="",
        subscriber_email="",
        newsletter_name=place.newsletter_name,
        issue_title="",
        unsubscribe_url="",
        newsletter_slug=place.newsletter_slug,
        newsletter_postal_address=place.postal_address,
        issue_published_on=place.published_at.astimezone(UTC).date().isoformat(),
    )


def _line(template: str, place: WebPlace, values: MailValues) -> str:
    try:
        return _public(Subject(template, allowed=SUBJECT_VARIABLES).render(values, Work()), place)
    except TemplateError:
        return place.newsletter_name


def _public(text: str, place: WebPlace) -> str:
    return without_acting_addresses(text, public_url=place.public_url, neutral_url=place.sign_up_url)


def _from_html(document: str, place: WebPlace, shown_title: str) -> WebContent:
    tree = LexborHTMLParser(document)
    for node in tree.css("[hidden], [style]"):
        if "hidden" in node.attributes or _HIDDEN.search(node.attributes.get("style") or ""):
            node.decompose()
    # What the layout that ships puts around the content, the page has itself.
    content = tree.css("table.sheet td.content")
    keeps_look = len(content) != 1
    place_of_content = tree.body if keeps_look else content[0]
    if place_of_content is None:
        return WebContent("", keeps_look=False, text_start="")
    _drop_added_footer(place_of_content, place.sign_up_url)
    _drop_repeated_title(place_of_content, shown_title)
    found = safe_html(
        place_of_content.inner_html or "",
        keeps_look=keeps_look,
        public_url=place.public_url,
        neutral_url=place.sign_up_url,
    )
    # Of what is shown: a parser takes a script for text too.
    text = LexborHTMLParser(found).root
    return WebContent(found, keeps_look=keeps_look, text_start=_start(text.text(separator=" ") if text else "", place))


def _drop_added_footer(content: LexborNode, sign_up_url: str) -> None:
    """The paragraph that every mail without a link to leave gets: a page has nothing to leave."""
    for link in content.css("p > a[data-pm-no-track]"):
        if link.attributes.get("href") == sign_up_url and link.parent is not None:
            link.parent.decompose()


def _drop_repeated_title(content: LexborNode, shown_title: str) -> None:
    heading = content.css_first("h1")
    if heading is not None and _plain(heading.text()) == _plain(shown_title):
        before = (content.text() or "").partition(heading.text())[0]
        if not before.strip():
            heading.decompose()


def _from_text(text: str, place: WebPlace) -> WebContent:
    parser = _text_parser()
    blocks = [part.strip("\n") for part in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n"))]
    shown = "".join(cast("str", parser.render(part)) for part in blocks if part.strip())
    safe = safe_html(shown, keeps_look=False, public_url=place.public_url, neutral_url=place.sign_up_url)
    return WebContent(safe, keeps_look=False, text_start=_start(text, place))


@cache
def _text_parser() -> MarkdownIt:
    """Paragraphs and bare addresses, nothing else of Markdown."""
    return MarkdownIt("zero", {"html": False}).use(gfm_autolink_plugin)


def _plain(text: str) -> str:
    return _SPACES.sub(" ", html.unescape(text)).strip().casefold()


def _start(text: str, place: WebPlace) -> str:
    plain = _SPACES.sub(" ", _public(text, place)).strip()
    return plain if len(plain) <= SUMMARY_CHARS_MAX else plain[: SUMMARY_CHARS_MAX - 1].rstrip() + "…"
