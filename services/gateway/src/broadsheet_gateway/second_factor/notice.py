"""Mails that tell users what was done with their second factor, so that they notice if it was not them."""

import secrets
from datetime import timedelta
from enum import Enum
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.queue import SingleMail, enqueue_single_mail
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_common.mail.notice_mail import write_mail
from broadsheet_gateway.accounts.interface import UserAccount

NOTICE_LIFETIME: Final = timedelta(days=3)
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
    if user.email is None:
        return
    subject, text = notice.value
    mail = write_mail(subject=subject, title=subject, text=text, after=_AFTER)
    await enqueue_single_mail(
        connection,
        SingleMail(
            kind="account_notice",
            to=EmailAddress(user.email),
            subject=mail.subject,
            html_body=mail.html_body,
            text_body=mail.text_body,
            dedupe_key=f"account_notice:{secrets.token_hex(16)}",
            expires_in=NOTICE_LIFETIME,
        ),
    )
