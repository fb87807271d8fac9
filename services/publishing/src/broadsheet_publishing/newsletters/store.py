"""The SQL of newsletters: plain functions that take the connection of the caller's transaction."""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection


class NewsletterRow(msgspec.Struct, frozen=True):
    id: int
    slug: str
    name: str
    is_default: bool
    from_name: str | None
    from_email: str | None
    reply_to: str | None
    message_stream: str
    unsubscribe_handling: str
    postal_address: str
    allowed_origins: list[str]
    is_listed: bool


_NEWSLETTER_COLUMNS = """
    id, slug, name, is_default, from_name, from_email, reply_to, message_stream, unsubscribe_handling, postal_address,
    allowed_origins, is_listed
"""


async def list_newsletters(connection: AsyncConnection, *, after_id: int, limit: int) -> list[NewsletterRow]:
    """Oldest first."""
    result = await connection.execute(
        sa.text(f"""
            SELECT {_NEWSLETTER_COLUMNS} FROM publishing.newsletter WHERE id > :after_id ORDER BY id LIMIT :limit
        """),  # constant columns
        {"after_id": after_id, "limit": limit},
    )
    return [NewsletterRow(*row) for row in result]


async def find_newsletter(
    connection: AsyncConnection, newsletter_id: int, *, lock: bool = False
) -> NewsletterRow | None:
    result = await connection.execute(
        sa.text(f"""
            SELECT {_NEWSLETTER_COLUMNS} FROM publishing.newsletter WHERE id = :newsletter_id
            {"FOR NO KEY UPDATE" if lock else ""}
        """),  # constant texts
        {"newsletter_id": newsletter_id},
    )
    row = result.one_or_none()
    return None if row is None else NewsletterRow(*row)


async def change_newsletter(
    connection: AsyncConnection, newsletter_id: int, *, allowed_origins: Sequence[str] | None, is_listed: bool | None
) -> NewsletterRow:
    """None stays as it is."""
    result = await connection.execute(
        sa.text(f"""
            UPDATE publishing.newsletter
               SET allowed_origins = coalesce(CAST(:allowed_origins AS text[]), allowed_origins),
                   is_listed = coalesce(CAST(:is_listed AS boolean), is_listed)
             WHERE id = :newsletter_id
            RETURNING {_NEWSLETTER_COLUMNS}
        """),  # constant columns
        {
            "newsletter_id": newsletter_id,
            "allowed_origins": None if allowed_origins is None else [str(origin) for origin in allowed_origins],
            "is_listed": is_listed,
        },
    )
    return NewsletterRow(*result.one())


async def find_default_newsletter_id(connection: AsyncConnection) -> int | None:
    result = await connection.execute(sa.text("SELECT id FROM publishing.newsletter WHERE is_default"))
    newsletter_id: int | None = result.scalar_one_or_none()
    return newsletter_id
