"""Load the content of an issue's mails: parsed once for each version, for all of its chunks."""

import asyncio
from collections import OrderedDict
from email.utils import formataddr
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.mail.issue_mail import IssueFacts, IssueMail, IssueTemplates
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
    mail = IssueMail(
        IssueTemplates(
            title=found.title,
            subject=found.subject,
            html_content=found.html_content,
            text_content=found.text_content,
        ),
        IssueFacts(
            newsletter_name=found.name,
            newsletter_slug=found.slug,
            postal_address=found.postal_address,
            published_at=found.published_at,
            web_url=f"{public_url}{found.web_path}" if found.web_path is not None else "",
            tracks_links=found.track_links,
        ),
    )
    return IssueContent(
        issue_id=found.issue_id,
        variant=found.variant,
        newsletter_id=found.newsletter_id,
        version=ContentVersion(found.content_version, found.sender_version),
        mail=mail,
        used=UsedValues(tags=mail.uses_tags, attributes=tuple(sorted(mail.attributes))),
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
