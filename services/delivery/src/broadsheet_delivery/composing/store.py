"""SQL of the contents of issues and welcome mails, read from publishing's views.

Every function takes the connection of its caller's transaction.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.composing.issue_content import ContentVersion

_NEWSLETTER: Final = """letter.name, letter.slug, letter.from_name, letter.from_email, letter.reply_to,
                   letter.message_stream, letter.unsubscribe_handling, letter.postal_address,
                   letter.track_opens, letter.track_links, letter.sender_version, letter.language"""


async def find_issue(connection: AsyncConnection, issue_id: int, variant: int) -> sa.Row[Any] | None:
    """A variant of a published issue with its newsletter's sender; None if it is not published."""
    rows = await connection.execute(
        sa.text(f"""
            SELECT issue.issue_id, issue.variant, issue.newsletter_id, issue.title, issue.subject,
                   issue.html_content, issue.text_content, issue.web_path, issue.published_at,
                   issue.content_version, {_NEWSLETTER}
              FROM publishing.published_contents AS issue
              JOIN publishing.published_newsletters AS letter USING (newsletter_id)
             WHERE issue.issue_id = :issue_id AND issue.variant = :variant
        """),  # constant columns
        {"issue_id": issue_id, "variant": variant},
    )
    return rows.one_or_none()


async def find_version(connection: AsyncConnection, issue_id: int, variant: int) -> ContentVersion | None:
    """The versions of this variant of the issue and of its newsletter's sender."""
    row = await connection.execute(
        sa.text("""
            SELECT issue.content_version, letter.sender_version
              FROM publishing.published_contents AS issue
              JOIN publishing.published_newsletters AS letter USING (newsletter_id)
             WHERE issue.issue_id = :issue_id AND issue.variant = :variant
        """),
        {"issue_id": issue_id, "variant": variant},
    )
    found = row.one_or_none()
    return None if found is None else ContentVersion(*found)


async def find_senders(connection: AsyncConnection, newsletter_ids: Collection[int]) -> Sequence[sa.Row[Any]]:
    """What `sender_of` needs of each of the newsletters."""
    rows = await connection.execute(
        sa.text("""
            SELECT newsletter_id, from_name, from_email, reply_to
              FROM publishing.published_newsletters
             WHERE newsletter_id = ANY (CAST(:newsletter_ids AS bigint[]))
        """),
        {"newsletter_ids": list(newsletter_ids)},
    )
    return rows.all()


async def find_welcome(connection: AsyncConnection, newsletter_id: int) -> sa.Row[Any] | None:
    """A newsletter's welcome mail with the newsletter's sender; None if none is sent."""
    rows = await connection.execute(
        sa.text(f"""
            SELECT welcome.newsletter_id, welcome.subject, welcome.html_content, welcome.text_content,
                   welcome.content_version, {_NEWSLETTER}
              FROM publishing.published_welcome_mails AS welcome
              JOIN publishing.published_newsletters AS letter USING (newsletter_id)
             WHERE welcome.newsletter_id = :newsletter_id
        """),
        {"newsletter_id": newsletter_id},
    )
    return rows.one_or_none()


async def find_welcome_version(connection: AsyncConnection, newsletter_id: int) -> ContentVersion | None:
    """The versions of a newsletter's welcome mail and of its sender; None if none is sent."""
    row = await connection.execute(
        sa.text("""
            SELECT welcome.content_version, letter.sender_version
              FROM publishing.published_welcome_mails AS welcome
              JOIN publishing.published_newsletters AS letter USING (newsletter_id)
             WHERE welcome.newsletter_id = :newsletter_id
        """),
        {"newsletter_id": newsletter_id},
    )
    found = row.one_or_none()
    return None if found is None else ContentVersion(*found)
