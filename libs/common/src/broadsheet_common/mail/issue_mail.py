"""One issue's mails: from its templates, and what all of its mails share, to the mail of one reader; pure.

Delivery sends what this renders, and publishing's preview shows it: they cannot differ.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

import msgspec

from broadsheet_common.mail import mail_template
from broadsheet_common.mail.mail_body import Footer, HtmlBody, TextBody, keep_links_to_leave
from broadsheet_common.mail.mail_subject import Subject
from broadsheet_common.mail.merge_fields import SHARED_VARIABLES, SUBJECT_VARIABLES, AttributeValue, MailValues
from broadsheet_common.mail.template_work import Work


class IssueTemplates(msgspec.Struct, frozen=True, kw_only=True):
    """What was compiled of an issue: Liquid templates. `html_content` None: its mails are plain text only."""

    title: str
    subject: str
    html_content: str | None
    text_content: str


class IssueFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What all mails of an issue share. `published_at` None: a mail that belongs to no issue. `web_url` is empty for an
    issue that is not on the web. `tracks_links`: Postmark rewrites links, but not those by which a reader leaves.
    `language`: the newsletter's tag.
    """

    newsletter_name: str
    newsletter_slug: str
    postal_address: str
    published_at: datetime | None
    web_url: str
    tracks_links: bool = False
    language: str = "en"


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """What differs from mail to mail."""

    name: str
    email: str
    unsubscribe_url: str
    preferences_url: str
    tags: tuple[str, ...] = ()
    attributes: Mapping[str, AttributeValue] = {}


class RenderedMail(msgspec.Struct, frozen=True):
    """A body may be there as JSON already (`msgspec.Raw`)."""

    subject: str
    html_body: str | msgspec.Raw | None
    text_body: str | msgspec.Raw


def text_of(body: str | msgspec.Raw) -> str:
    """A body as text, also where it is JSON already."""
    return body if isinstance(body, str) else msgspec.json.decode(body, type=str)


class IssueMail:
    """The parsed templates of an issue, with what its mails share filled in."""

    __slots__ = ("_html", "_shared", "_subject", "_text", "_title", "attributes", "uses_tags")

    def __init__(self, templates: IssueTemplates, facts: IssueFacts) -> None:
        """Two templates of the largest size take about a second: not on the event loop.

        Raises:
            TemplateError: no mail can be made of them.
        """
        shared = MailValues(
            subscriber_name="",
            subscriber_email="",
            newsletter_name=facts.newsletter_name,
            issue_title="",
            unsubscribe_url="",
            newsletter_slug=facts.newsletter_slug,
            newsletter_postal_address=facts.postal_address,
            issue_published_on=(
                "" if facts.published_at is None else facts.published_at.astimezone(UTC).date().isoformat()
            ),
            web_url=facts.web_url,
        )
        self._title = Subject(templates.title, attributes=None).filled(shared)
        names = SHARED_VARIABLES
        if self._title.plain_text is not None:
            shared = msgspec.structs.replace(shared, issue_title=self._title.plain_text)
            names |= {"issue.title"}
        self._shared = shared
        self._subject = self._title
        if templates.subject != templates.title:
            self._subject = Subject(templates.subject, allowed=SUBJECT_VARIABLES, attributes=None).filled(shared, names)
        footer = Footer(
            newsletter_name=facts.newsletter_name, postal_address=facts.postal_address, language=facts.language
        )
        html = None
        if templates.html_content is not None:
            source = keep_links_to_leave(templates.html_content) if facts.tracks_links else templates.html_content
            html = mail_template.parse(source, "html").filled(shared, names)
        text = mail_template.parse(templates.text_content, "text").filled(shared, names)
        parsed = [one for one in (self._title, self._subject, html, text) if one is not None]
        self._html = None if html is None else HtmlBody(html, footer)
        self._text = TextBody(text, footer)
        self.uses_tags = any(one.uses_tags for one in parsed)
        self.attributes = frozenset(name for one in parsed for name in one.attributes)
        """The names of the attributes that the mails use."""

    def render(self, reader: Reader, work: Work) -> RenderedMail:
        """Raises `TemplateError`: it cannot be rendered for this reader."""
        values = msgspec.structs.replace(
            self._shared,
            subscriber_name=reader.name,
            subscriber_email=reader.email,
            subscriber_tags=reader.tags,
            subscriber_attributes=reader.attributes,
            unsubscribe_url=reader.unsubscribe_url,
            preferences_url=reader.preferences_url,
        )
        title = self._title.render(values, work)
        if self._title.plain_text is None:
            values = msgspec.structs.replace(values, issue_title=title)
        subject = title if self._subject is self._title else self._subject.render(values, work)
        html_body = None if self._html is None else self._html.render(values, work)
        return RenderedMail(subject, html_body, self._text.render(values, work))


def shared_headers(*, issue_id: int | None, newsletter_slug: str, public_url: str) -> tuple[tuple[str, str], ...]:
    """Names and values of the headers that all mails of an issue share: RFC 2919 and Gmail's Feedback-ID.

    `issue_id` None: the newsletter's welcome mail.
    """
    host = urlsplit(public_url).hostname or "localhost"
    return (
        ("List-ID", f"<{newsletter_slug}.{host}>"),
        ("Feedback-ID", f"{'welcome' if issue_id is None else issue_id}:{newsletter_slug}:newsletter:broadsheet"),
    )


def unsubscribe_headers(unsubscribe_url: str) -> tuple[tuple[str, str], ...]:
    """Names and values: RFC 8058 (one HTTPS address, one POST). They go before the shared ones.

    Not where Postmark handles unsubscribing: it adds these headers itself, and ours would be doubled.
    """
    return ("List-Unsubscribe", f"<{unsubscribe_url}>"), ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
