"""Load who mails of newsletters come from, as it is now."""

from collections.abc import Collection

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.composing.mail_sender import MailSender, sender_of
from broadsheet_delivery.composing.store import find_senders


async def load_senders(
    connection: AsyncConnection, newsletter_ids: Collection[int], *, default_sender: str
) -> dict[int, MailSender]:
    """By the newsletter's id."""
    if not newsletter_ids:
        return {}
    return {
        row.newsletter_id: sender_of(
            newsletter_id=row.newsletter_id,
            from_name=row.from_name,
            from_email=row.from_email,
            reply_to=row.reply_to,
            default_sender=default_sender,
        )
        for row in await find_senders(connection, newsletter_ids)
    }
