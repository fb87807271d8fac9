"""Confirm a change of address from one mailbox; the second of both makes it.

The address is another user's or nobody's at the moment of the change: of two users who confirm it at once, one gets it.
"""

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import Actor, record_audit
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_gateway.account_notices.notices import write_address_changed
from broadsheet_gateway.account_notices.queue_notice import queue_notice
from broadsheet_gateway.accounts.interface import lock_user, replace_address
from broadsheet_gateway.email_change.request_change import token_sha256
from broadsheet_gateway.email_change.store import OpenChange, confirm_side, end_change, find_change
from broadsheet_gateway.password_reset.interface import void_reset_links

_log = structlog.get_logger()


class AddressChanged(msgspec.Struct, frozen=True):
    pass


class OtherSideWaits(msgspec.Struct, frozen=True):
    """The other mailbox has not confirmed it yet. `is_old`: this one was the old."""

    is_old: bool


class AddressTaken(msgspec.Struct, frozen=True):
    """Another user has the address meanwhile. The change has ended."""


class ChangeNotOpen(msgspec.Struct, frozen=True):
    """The link is unknown, replaced, too old, done or void."""


async def find_by_token(token: str, *, engine: AsyncEngine) -> tuple[OpenChange, bool] | None:
    async with engine.connect() as connection:
        return await find_change(connection, token_sha256(token))


async def confirm_change(
    token: str, *, source: str | None, engine: AsyncEngine
) -> AddressChanged | OtherSideWaits | AddressTaken | ChangeNotOpen:
    """Links for a new password that went to the old address end with it; sessions go on."""
    async with engine.begin() as connection:
        before = await find_change(connection, token_sha256(token))
        if before is None:
            return ChangeNotOpen()
        await lock_user(connection, before[0].user_id)
        found = await find_change(connection, token_sha256(token), lock=True)
        if found is None:
            return ChangeNotOpen()
        change, is_old = found
        await confirm_side(connection, change.user_id, is_old=is_old)
        confirmed = msgspec.structs.replace(
            change,
            is_old_confirmed=change.is_old_confirmed or is_old,
            is_new_confirmed=change.is_new_confirmed or not is_old,
        )
        if not confirmed.is_complete:
            return OtherSideWaits(is_old)
        await end_change(connection, change.user_id)
        if not await replace_address(connection, change.user_id, EmailAddress(change.new_email)):
            _log.warning("security.email_change_lost", user_id=change.user_id)
            return AddressTaken()
        await void_reset_links(connection, change.user_id)
        await queue_notice(connection, change.old_email, write_address_changed())
        await record_audit(connection, Actor.of_user(change.user_id, source), "user.email_changed", change.user_id)
    _log.warning("security.email_changed", user_id=change.user_id)
    return AddressChanged()
