"""Load the welcome mail of a newsletter: parsed once for each version, as an issue's content is."""

import asyncio
from collections import OrderedDict
from email.utils import formataddr
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.mail.issue_mail import IssueFacts, IssueMail, IssueTemplates
from broadsheet_common.mail.template_work import TemplateError
from broadsheet_delivery.composing.issue_content import ContentVersion, UnusableIssueError, WelcomeContent
from broadsheet_delivery.composing.store import find_welcome, find_welcome_version
from broadsheet_delivery.queue.recipient import UsedValues

_CACHED_CONTENTS_MAX = 32


def _parse(found: sa.Row[Any], *, default_sender: str) -> WelcomeContent:
    """Raises `TemplateError`."""
    mail = IssueMail(
        IssueTemplates(
            # What layouts have of an issue's title is the subject here.
            title=found.subject,
            subject=found.subject,
            html_content=found.html_content,
            text_content=found.text_content,
        ),
        IssueFacts(
            newsletter_name=found.name,
            newsletter_slug=found.slug,
            postal_address=found.postal_address,
            published_at=None,
            web_url="",
            tracks_links=found.track_links,
        ),
    )
    return WelcomeContent(
        newsletter_id=found.newsletter_id,
        version=ContentVersion(found.content_version, found.sender_version),
        mail=mail,
        used=UsedValues(tags=mail.uses_tags, attributes=tuple(sorted(mail.attributes))),
        newsletter_slug=found.slug,
        sender=formataddr((found.from_name or "", found.from_email)) if found.from_email else default_sender,
        reply_to=found.reply_to,
        stream=found.message_stream,
        unsubscribe_handling=found.unsubscribe_handling,
        # Where Postmark handles unsubscribing it adds these headers itself, and ours would be doubled.
        adds_unsubscribe_headers=found.unsubscribe_handling == "custom",
        track_opens=found.track_opens,
        # A link in the plain text would be replaced by a long address of Postmark's.
        track_links="HtmlOnly" if found.track_links else "None",
    )


class WelcomeContents:
    """The welcome mails that this replica sends, by newsletter: at most `_CACHED_CONTENTS_MAX`."""

    def __init__(self, *, default_sender: str) -> None:
        self._default_sender = default_sender
        self._cached: OrderedDict[int, WelcomeContent] = OrderedDict()

    async def is_sent(self, connection: AsyncConnection, newsletter_id: int) -> bool:
        return await find_welcome_version(connection, newsletter_id) is not None

    async def get(self, connection: AsyncConnection, newsletter_id: int) -> WelcomeContent | None:
        """The newsletter's current welcome mail; None: it is switched off, or the newsletter is archived.

        Raises:
            UnusableIssueError: no mail can be made of it.
        """
        version = await find_welcome_version(connection, newsletter_id)
        if version is None:
            return None
        content = self._cached.get(newsletter_id)
        if content is None or content.version != version:
            found = await find_welcome(connection, newsletter_id)
            if found is None:
                return None
            try:
                # Not on the event loop, as an issue's.
                content = await asyncio.to_thread(_parse, found, default_sender=self._default_sender)
            except TemplateError as error:
                raise UnusableIssueError(f"The welcome mail cannot be parsed: {error}") from error
            self._cached[newsletter_id] = content
            if len(self._cached) > _CACHED_CONTENTS_MAX:
                self._cached.popitem(last=False)
        self._cached.move_to_end(newsletter_id)
        return content
