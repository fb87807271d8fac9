"""Load the welcome mail of a newsletter: parsed once for each version, as an issue's content is."""

import asyncio
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.mail.issue_mail import IssueMail, IssueTemplates
from broadsheet_common.mail.template_work import TemplateError
from broadsheet_delivery.composing.issue_content import UnusableIssueError, WelcomeContent
from broadsheet_delivery.composing.newsletter_fields import KeptContents, facts_of, newsletter_fields
from broadsheet_delivery.composing.store import find_welcome, find_welcome_version

_CACHED_CONTENTS_MAX = 32


def _parse(found: sa.Row[Any], *, default_sender: str, public_url: str) -> WelcomeContent:
    """Raises `TemplateError`."""
    mail = IssueMail(
        IssueTemplates(
            # What layouts have of an issue's title is the subject here.
            title=found.subject,
            subject=found.subject,
            html_content=found.html_content,
            text_content=found.text_content,
        ),
        facts_of(found, published_at=None, web_url=""),
    )
    return WelcomeContent(
        unsubscribe_handling=found.unsubscribe_handling,
        **newsletter_fields(found, mail, issue_id=None, default_sender=default_sender, public_url=public_url),
    )


class WelcomeContents:
    """The welcome mails that this replica sends, by newsletter: at most `_CACHED_CONTENTS_MAX`."""

    def __init__(self, *, default_sender: str, public_url: str) -> None:
        self._default_sender = default_sender
        self._public_url = public_url
        self._kept: KeptContents[int, WelcomeContent] = KeptContents(_CACHED_CONTENTS_MAX)

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

        async def load() -> WelcomeContent | None:
            found = await find_welcome(connection, newsletter_id)
            if found is None:
                return None
            try:
                # Not on the event loop, as an issue's.
                return await asyncio.to_thread(
                    _parse, found, default_sender=self._default_sender, public_url=self._public_url
                )
            except TemplateError as error:
                raise UnusableIssueError(f"The welcome mail cannot be parsed: {error}") from error

        return await self._kept.get(newsletter_id, version, load)
