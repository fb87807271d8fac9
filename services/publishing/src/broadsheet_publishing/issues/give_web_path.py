"""Where an issue stands on the web. Its slug is taken once and kept, because mails and other sites lead there."""

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_publishing.issues import compiled_store
from broadsheet_publishing.issues.store import IssueRow
from broadsheet_publishing.newsletters.interface import NewsletterRow
from broadsheet_publishing.newsletters.slug import slug_from

_SLUG_CHARS_MAX = 80
"""A number may follow, if another issue has the slug."""


async def take_web_path(connection: AsyncConnection, issue: IssueRow, newsletter: NewsletterRow) -> str:
    """The path of its page; the issue has the slug from now on. Its row must be locked."""
    wanted = slug_from(issue.title, chars_max=_SLUG_CHARS_MAX) or f"issue-{issue.id}"
    slug = await compiled_store.take_slug(connection, issue.id, newsletter_id=issue.newsletter_id, wanted=wanted)
    return f"/newsletters/{newsletter.slug}/issues/{slug}"


async def give_web_path(connection: AsyncConnection, issue: IssueRow, newsletter: NewsletterRow) -> bool:
    """Whether a published issue, whose row must be locked, was without one until now."""
    if await compiled_store.has_web_path(connection, issue.id):
        return False
    await compiled_store.set_web_path(connection, issue.id, await take_web_path(connection, issue, newsletter))
    return True
