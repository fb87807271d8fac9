"""Mails that tell users what was done with their second factor, so that they notice if it was not them."""

from enum import Enum
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.mail.notice_mail import write_mail
from broadsheet_gateway.account_notices.queue_notice import queue_notice as queue_account_notice
from broadsheet_gateway.accounts.interface import UserAccount

_AFTER: Final = (
    "If it was not you, set a new password, end your sessions, and tell an owner of your Broadsheet. "
    "This mail has no link on purpose."
)


class Notice(Enum):
    """The subject, and what the mail says."""

    ADDED = (
        "A second factor was added",
        "Signing in to your Broadsheet account now asks for a code of an authenticator, too.",
    )
    REMOVED = (
        "Your second factor was removed",
        "Signing in to your Broadsheet account no longer asks for a code.",
    )
    RECOVERY_CODE_USED = (
        "A recovery code was used",
        "One of the recovery codes of your Broadsheet account was used in place of a code of your authenticator.",
    )
    RECOVERY_CODES_RENEWED = (
        "New recovery codes were made",
        "New recovery codes were made for your Broadsheet account. The ones before work no more.",
    )


async def queue_notice(connection: AsyncConnection, user: UserAccount, notice: Notice) -> None:
    """In the transaction of what it tells of. Nothing for a user without an address."""
    subject, text = notice.value
    mail = write_mail(subject=subject, title=subject, text=text, after=_AFTER)
    await queue_account_notice(connection, user.email, mail)
