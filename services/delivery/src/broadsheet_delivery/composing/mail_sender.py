"""Who a mail of a newsletter comes from: the one place that decides it. Pure."""

import msgspec

from broadsheet_common.mail.mailbox import mailbox


class MailSender(msgspec.Struct, frozen=True):
    """`from_`: `Name <address>`. `newsletter_id` None: the installation's own."""

    from_: str
    reply_to: str | None = None
    newsletter_id: int | None = None


def sender_of(
    *, newsletter_id: int, from_name: str | None, from_email: str | None, reply_to: str | None, default_sender: str
) -> MailSender:
    """The newsletter's own; where it names no address, the installation's. Answers go where the newsletter says."""
    if not from_email:
        return MailSender(from_=default_sender, reply_to=reply_to)
    return MailSender(from_=mailbox(from_name or "", from_email), reply_to=reply_to, newsletter_id=newsletter_id)
