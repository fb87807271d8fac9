"""Load the content of an issue's mails: parsed once for each version, for all of its chunks."""

import asyncio
from collections import OrderedDict
from email.utils import formataddr

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.mail import mail_template
from broadsheet_common.mail.mail_body import Footer, HtmlBody, TextBody
from broadsheet_common.mail.mail_subject import Subject
from broadsheet_common.mail.template_work import TemplateError
from broadsheet_delivery.composing.issue_content import ContentVersion, IssueContent, UnusableIssueError
from broadsheet_delivery.composing.store import find_issue, find_version

_CACHED_ISSUES_MAX = 64


async def _read(connection: AsyncConnection, *, issue_id: int, default_sender: str) -> IssueContent:
    found = await find_issue(connection, issue_id)
    if found is None:
        raise UnusableIssueError("The issue is not published.")
    footer = Footer(newsletter_name=found.name, postal_address=found.postal_address)
    try:
        # Two templates of the largest size take about a second: not on the event loop.
        subject, html, text = await asyncio.to_thread(
            _parse, found.title, found.html_content, found.text_content, footer
        )
    except TemplateError as error:
        raise UnusableIssueError(f"The content cannot be parsed: {error}") from error
    return IssueContent(
        issue_id=found.issue_id,
        newsletter_id=found.newsletter_id,
        version=ContentVersion(found.content_version, found.sender_version),
        subject=subject,
        html=html,
        text=text,
        newsletter_name=found.name,
        newsletter_slug=found.slug,
        sender=formataddr((found.from_name or "", found.from_email)) if found.from_email else default_sender,
        reply_to=found.reply_to,
        stream=found.message_stream,
        # Where Postmark handles unsubscribing it adds these headers itself, and ours would be doubled.
        adds_unsubscribe_headers=found.unsubscribe_handling == "custom",
    )


def _parse(title: str, html_content: str, text_content: str, footer: Footer) -> tuple[Subject, HtmlBody, TextBody]:
    html = HtmlBody(mail_template.parse(html_content, "html"), footer)
    return Subject(title), html, TextBody(mail_template.parse(text_content, "text"), footer)


class IssueContents:
    """The issues that this replica sends: at most `_CACHED_ISSUES_MAX`, the least recently used dropped first."""

    def __init__(self, *, default_sender: str) -> None:
        self._default_sender = default_sender
        self._cached: OrderedDict[int, IssueContent] = OrderedDict()

    async def get(self, connection: AsyncConnection, issue_id: int) -> IssueContent:
        """The issue's current content: a correction is read again by every replica.

        Raises:
            UnusableIssueError: no mail can be made of the issue.
        """
        content = self._cached.get(issue_id)
        if content is None or content.version != await find_version(connection, issue_id):
            content = await _read(connection, issue_id=issue_id, default_sender=self._default_sender)
            self._cached[issue_id] = content
            if len(self._cached) > _CACHED_ISSUES_MAX:
                self._cached.popitem(last=False)
        self._cached.move_to_end(issue_id)
        return content
