"""Queue a notice to a user, in the transaction of what it tells of."""

import secrets
from datetime import timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.queue import AccountMail, enqueue_account_mail
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_common.mail.notice_mail import Mail

NOTICE_LIFETIME: Final = timedelta(days=3)


async def queue_notice(connection: AsyncConnection, address: str | None, mail: Mail) -> None:
    """Nothing for a user without an address."""
    if address is None:
        return
    await enqueue_account_mail(
        connection,
        AccountMail(
            kind="account_notice",
            to=EmailAddress(address),
            subject=mail.subject,
            html_body=mail.html_body,
            text_body=mail.text_body,
            dedupe_key=f"account_notice:{secrets.token_hex(16)}",
            expires_in=NOTICE_LIFETIME,
        ),
    )
