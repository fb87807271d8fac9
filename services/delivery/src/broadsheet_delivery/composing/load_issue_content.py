"""Load the content of an issue's mails: parsed once for each version, for all of its chunks."""

import asyncio
from collections import OrderedDict
from datetime import UTC
from email.utils import formataddr
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.mail import mail_template
from broadsheet_common.mail.mail_body import Footer, HtmlBody, TextBody, keep_links_to_leave
from broadsheet_common.mail.mail_subject import Subject
from broadsheet_common.mail.merge_fields import SHARED_VARIABLES, SUBJECT_VARIABLES, MailValues
from broadsheet_common.mail.template_work import TemplateError
from broadsheet_delivery.composing.issue_content import ContentVersion, IssueContent, UnusableIssueError
from broadsheet_delivery.composing.store import find_issue, find_version
from broadsheet_delivery.queue.recipient import UsedValues

_CACHED_CONTENTS_MAX = 64


async def _read(
    connection: AsyncConnection, *, issue_id: int, variant: int, default_sender: str, public_url: str
) -> IssueContent:
    found = await find_issue(connection, issue_id, variant)
    if found is None:
        raise UnusableIssueError("The issue is not published.")
    try:
        # Two templates of the largest size take about a second: not on the event loop.
        return await asyncio.to_thread(_parse, found, default_sender=default_sender, public_url=public_url)
    except TemplateError as error:
        raise UnusableIssueError(f"The content cannot be parsed: {error}") from error


def _parse(found: sa.Row[Any], *, default_sender: str, public_url: str) -> IssueContent:
    """Raises `TemplateError`."""
    shared = MailValues(
        subscriber_name="",
        subscriber_email="",
        newsletter_name=found.name,
        issue_title="",
        unsubscribe_url="",
        newsletter_slug=found.slug,
        newsletter_postal_address=found.postal_address,
        issue_published_on=found.published_at.astimezone(UTC).date().isoformat(),
        web_url=f"{public_url}{found.web_path}" if found.web_path is not None else "",
    )
    title = Subject(found.title, attributes=None).filled(shared)
    names = SHARED_VARIABLES
    if title.plain_text is not None:
        shared = msgspec.structs.replace(shared, issue_title=title.plain_text)
        names |= {"issue.title"}
    subject = title
    if found.subject != found.title:
        subject = Subject(found.subject, allowed=SUBJECT_VARIABLES, attributes=None).filled(shared, names)
    footer = Footer(newsletter_name=found.name, postal_address=found.postal_address)
    html_template = None
    if found.html_content is not None:
        html_source = keep_links_to_leave(found.html_content) if found.track_links else found.html_content
        html_template = mail_template.parse(html_source, "html").filled(shared, names)
    text_template = mail_template.parse(found.text_content, "text").filled(shared, names)
    templates = [one for one in (title, subject, html_template, text_template) if one is not None]
    return IssueContent(
        issue_id=found.issue_id,
        variant=found.variant,
        newsletter_id=found.newsletter_id,
        version=ContentVersion(found.content_version, found.sender_version),
        title=title,
        subject=subject,
        html=None if html_template is None else HtmlBody(html_template, footer),
        text=TextBody(text_template, footer),
        shared=shared,
        used=UsedValues(
            tags=any(one.uses_tags for one in templates),
            attributes=tuple(sorted({name for one in templates for name in one.attributes})),
        ),
        newsletter_slug=found.slug,
        sender=formataddr((found.from_name or "", found.from_email)) if found.from_email else default_sender,
        reply_to=found.reply_to,
        stream=found.message_stream,
        # Where Postmark handles unsubscribing it adds these headers itself, and ours would be doubled.
        adds_unsubscribe_headers=found.unsubscribe_handling == "custom",
        track_opens=found.track_opens,
        # A link in the plain text would be replaced by a long address of Postmark's.
        track_links="HtmlOnly" if found.track_links else "None",
    )


class IssueContents:
    """The contents that this replica sends: at most `_CACHED_CONTENTS_MAX`, the least recently used dropped first."""

    def __init__(self, *, default_sender: str, public_url: str) -> None:
        self._default_sender = default_sender
        self._public_url = public_url
        self._cached: OrderedDict[tuple[int, int], IssueContent] = OrderedDict()

    async def get(self, connection: AsyncConnection, issue_id: int, variant: int = 1) -> IssueContent:
        """The issue's current content: a correction is read again by every replica.

        Raises:
            UnusableIssueError: no mail can be made of the issue.
        """
        key = issue_id, variant
        content = self._cached.get(key)
        if content is None or content.version != await find_version(connection, issue_id, variant):
            content = await _read(
                connection,
                issue_id=issue_id,
                variant=variant,
                default_sender=self._default_sender,
                public_url=self._public_url,
            )
            self._cached[key] = content
            if len(self._cached) > _CACHED_CONTENTS_MAX:
                self._cached.popitem(last=False)
        self._cached.move_to_end(key)
        return content
