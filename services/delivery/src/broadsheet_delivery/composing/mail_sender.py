"""Who a mail of a newsletter comes from: the one place that decides it. Pure."""

from typing import Any

import msgspec
import sqlalchemy as sa

from broadsheet_common.mail.mailbox import mailbox


class MailSender(msgspec.Struct, frozen=True):
    """`from_`: `Name <address>`. `newsletter_id` None: the installation's own."""

    from_: str
    reply_to: str | None = None
    newsletter_id: int | None = None


def sender_of(newsletter: sa.Row[Any], *, default_sender: str) -> MailSender:
    """The newsletter's own; where it names no address, the installation's. Answers go where the newsletter says.

    `newsletter` has the columns `newsletter_id`, `from_name`, `from_email` and `reply_to`.
    """
    if not newsletter.from_email:
        return MailSender(from_=default_sender, reply_to=newsletter.reply_to)
    return MailSender(
        from_=mailbox(newsletter.from_name or "", newsletter.from_email),
        reply_to=newsletter.reply_to,
        newsletter_id=newsletter.newsletter_id,
    )
