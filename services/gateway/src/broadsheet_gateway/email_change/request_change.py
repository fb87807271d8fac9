"""Ask for another address: a link goes to the new mailbox, and one to the old if there is one.

The answer is the same whether or not the new address is another user's: then its holder is told by mail, without a
link.
"""

import hashlib
import secrets
from datetime import timedelta

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.contracts.audit import record_audit
from broadsheet_common.contracts.queue import AccountMail, enqueue_account_mail
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_common.mail.notice_mail import Mail
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.accounts.interface import find_user, find_user_by_address
from broadsheet_gateway.email_change.change_mails import write_to_holder, write_to_new, write_to_old
from broadsheet_gateway.email_change.store import open_change

_log = structlog.get_logger()


class EmailChangePolicy(msgspec.Struct, frozen=True):
    """`cool_down_s`: for so long after a request a user makes no other. `public_url` ends without a slash."""

    public_url: str
    lifetime_s: int
    cool_down_s: int


class ChangeRequested(msgspec.Struct, frozen=True):
    pass


class ChangeRefused(msgspec.Struct, frozen=True):
    """`reason`: a sentence for the field."""

    reason: str


class ChangedJustNow(msgspec.Struct, frozen=True):
    """One was asked for a short time ago."""


def token_sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


async def request_change(
    session: Session, typed: str, *, policy: EmailChangePolicy, engine: AsyncEngine
) -> ChangeRequested | ChangeRefused | ChangedJustNow:
    """The caller has checked that the session's proof is fresh."""
    try:
        new = EmailAddress.parse(typed)
    except ValueError as error:
        return ChangeRefused(str(error))
    old_token, new_token = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    async with engine.begin() as connection:
        user = await find_user(connection, session.user_id)
        assert user is not None, "users are never deleted"
        old = None if user.email is None else EmailAddress(user.email)
        if old is not None and old.key == new.key:
            return ChangeRefused("This is your address already.")
        is_opened = await open_change(
            connection,
            user_id=user.id,
            old_email_key=None if old is None else old.key,
            new=new,
            old_token_sha256=None if old is None else token_sha256(old_token),
            new_token_sha256=token_sha256(new_token),
            lifetime=timedelta(seconds=policy.lifetime_s),
            cool_down=timedelta(seconds=policy.cool_down_s),
        )
        if not is_opened:
            return ChangedJustNow()
        if old is not None:
            mail = write_to_old(
                public_url=policy.public_url, token=old_token, new_address=new, lifetime_s=policy.lifetime_s
            )
            await _queue(connection, old, mail, old_token, policy)
        holder = await find_user_by_address(connection, new.key)
        mail = (
            write_to_new(public_url=policy.public_url, token=new_token, lifetime_s=policy.lifetime_s)
            if holder is None
            else write_to_holder(public_url=policy.public_url)
        )
        await _queue(connection, new, mail, new_token, policy)
        await record_audit(connection, session.identity, "user.email_change_requested", user.id)
    _log.warning("security.email_change_requested", user_id=session.user_id)
    return ChangeRequested()


async def _queue(
    connection: AsyncConnection, to: EmailAddress, mail: Mail, token: str, policy: EmailChangePolicy
) -> None:
    await enqueue_account_mail(
        connection,
        AccountMail(
            kind="account_address",
            to=to,
            subject=mail.subject,
            html_body=mail.html_body,
            text_body=mail.text_body,
            dedupe_key=f"account_address:{token_sha256(token).hex()}",
            expires_in=timedelta(seconds=policy.lifetime_s),
        ),
    )
