"""Read what an issue's mails are made of: once, and parsed once, for all of its chunks."""

from collections import OrderedDict
from email.utils import formataddr

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.mail import mail_template
from broadsheet_delivery.composing.issue_content import IssueContent, UnusableIssueError

_CACHED_ISSUES_MAX = 64


async def _read(connection: AsyncConnection, *, issue_id: int, default_sender: str) -> IssueContent:
    row = await connection.execute(
        sa.text("""
            SELECT issue.issue_id, issue.newsletter_id, issue.title, issue.html_content, issue.text_content,
                   letter.name, letter.slug, letter.from_name, letter.from_email, letter.reply_to,
                   letter.message_stream, letter.unsubscribe_handling, letter.postal_address
              FROM publishing.published_issues AS issue
              JOIN publishing.published_newsletters AS letter USING (newsletter_id)
             WHERE issue.issue_id = :issue_id
        """),
        {"issue_id": issue_id},
    )
    found = row.one_or_none()
    if found is None:
        raise UnusableIssueError("The issue is not published.")
    try:
        html = mail_template.parse(found.html_content, "html")
        text = mail_template.parse(found.text_content, "text")
    except mail_template.TemplateError as error:
        raise UnusableIssueError(f"The content cannot be parsed: {error}") from error
    return IssueContent(
        issue_id=found.issue_id,
        newsletter_id=found.newsletter_id,
        title=found.title,
        html=html,
        text=text,
        html_has_unsubscribe="unsubscribe_url" in found.html_content,
        text_has_unsubscribe="unsubscribe_url" in found.text_content,
        newsletter_name=found.name,
        newsletter_slug=found.slug,
        sender=formataddr((found.from_name or "", found.from_email)) if found.from_email else default_sender,
        reply_to=found.reply_to,
        stream=found.message_stream,
        # Where Postmark handles unsubscribing it adds these headers itself, and ours would be doubled.
        adds_unsubscribe_headers=found.unsubscribe_handling == "custom",
        postal_address=found.postal_address,
    )


class IssueContents:
    """The issues that this replica sends: at most `_CACHED_ISSUES_MAX`, the least recently used dropped first."""

    def __init__(self, *, default_sender: str) -> None:
        self._default_sender = default_sender
        self._cached: OrderedDict[int, IssueContent] = OrderedDict()

    async def get(self, connection: AsyncConnection, issue_id: int) -> IssueContent:
        """Raises UnusableIssueError when no mail can be made of the issue."""
        content = self._cached.get(issue_id)
        if content is None:
            content = await _read(connection, issue_id=issue_id, default_sender=self._default_sender)
            self._cached[issue_id] = content
            if len(self._cached) > _CACHED_ISSUES_MAX:
                self._cached.popitem(last=False)
        self._cached.move_to_end(issue_id)
        return content

    def forget(self, issue_id: int) -> None:
        """Read the issue anew next time: its newsletter's sender may have been put right."""
        self._cached.pop(issue_id, None)
