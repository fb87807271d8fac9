"""Ask for a link to set a new password.

Whatever the address, the same answer is given and the same work is done: a mail is written and queued, an entry is
recorded, a transaction commits. Where nobody is to get the mail, the queueing is taken back before the commit.
"""

import hashlib
import secrets
from datetime import timedelta

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import Actor, record_audit
from broadsheet_common.contracts.queue import AccountMail, enqueue_account_mail
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_gateway.password_reset.reset_mail import write_reset_mail
from broadsheet_gateway.password_reset.store import open_reset

_log = structlog.get_logger()


class ResetPolicy(msgspec.Struct, frozen=True):
    """`cool_down`: for so long after a link no other is mailed to the same user. `public_url` ends without a slash."""

    public_url: str
    lifetime: timedelta
    cool_down: timedelta


def token_sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


async def request_reset(address: EmailAddress, *, source: str | None, policy: ResetPolicy, engine: AsyncEngine) -> None:
    """Nothing is returned: nobody may learn whether there is such a user."""
    token = secrets.token_urlsafe(32)
    digest = token_sha256(token)
    mail = write_reset_mail(public_url=policy.public_url, token=token, lifetime_s=int(policy.lifetime.total_seconds()))
    async with engine.begin() as connection:
        found = await open_reset(
            connection,
            email_key=address.key,
            token_sha256=digest,
            lifetime=policy.lifetime,
            cool_down=policy.cool_down,
        )
        queued = await connection.begin_nested()
        await enqueue_account_mail(
            connection,
            AccountMail(
                kind="password_reset",
                to=address if found is None else EmailAddress(found[1]),
                subject=mail.subject,
                html_body=mail.html_body,
                text_body=mail.text_body,
                dedupe_key=f"password_reset:{digest.hex()}",
                expires_in=policy.lifetime,
            ),
        )
        if found is None:
            await queued.rollback()
        else:
            await queued.commit()
        user_id = None if found is None else found[0]
        await record_audit(connection, Actor.stranger(source), "user.password_reset_requested", user_id)
    _log.info("security.password_reset_requested", user_id=user_id)
