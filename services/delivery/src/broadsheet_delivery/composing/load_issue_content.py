"""Load the content of an issue's mails: parsed once for each version, for all of its chunks."""

import asyncio
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.mail.issue_mail import IssueMail, IssueTemplates
from broadsheet_common.mail.template_work import TemplateError
from broadsheet_delivery.composing.issue_content import IssueContent, UnusableIssueError
from broadsheet_delivery.composing.newsletter_fields import KeptContents, facts_of, newsletter_fields
from broadsheet_delivery.composing.store import find_issue, find_version

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
        facts_of(
            found,
            published_at=found.published_at,
            web_url=f"{public_url}{found.web_path}" if found.web_path is not None else "",
        ),
    )
    return IssueContent(
        issue_id=found.issue_id,
        variant=found.variant,
        **newsletter_fields(found, mail, issue_id=found.issue_id, default_sender=default_sender, public_url=public_url),
    )


class IssueContents:
    """The contents that this replica sends: at most `_CACHED_CONTENTS_MAX`, the least recently used dropped first."""

    def __init__(self, *, default_sender: str, public_url: str) -> None:
        self._default_sender = default_sender
        self._public_url = public_url
        self._kept: KeptContents[tuple[int, int], IssueContent] = KeptContents(_CACHED_CONTENTS_MAX)

    async def get(self, connection: AsyncConnection, issue_id: int, variant: int = 1) -> IssueContent:
        """The issue's current content: a correction is read again by every replica.

        Raises:
            UnusableIssueError: no mail can be made of the issue.
        """

        async def load() -> IssueContent:
            return await _read(
                connection,
                issue_id=issue_id,
                variant=variant,
                default_sender=self._default_sender,
                public_url=self._public_url,
            )

        version = await find_version(connection, issue_id, variant)
        content = await self._kept.get((issue_id, variant), version, load)
        assert content is not None, "an issue that is not there raises"
        return content
