"""Set a user's password or address, or make a user an owner, by command: for whoever runs the installation.

No session and no mail is needed, and no owner has to be left. Each is in the audit log as done by command.
"""

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import BY_COMMAND, record_audit
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_gateway.account_notices.notices import write_address_changed, write_password_changed
from broadsheet_gateway.account_notices.queue_notice import queue_notice
from broadsheet_gateway.accounts.interface import find_user_by_name, replace_address, set_password_hash
from broadsheet_gateway.accounts.password import explain, find_fault
from broadsheet_gateway.accounts.password_hashing import PasswordHashing
from broadsheet_gateway.password_reset.interface import void_reset_links
from broadsheet_gateway.recovery.store import grant_owner, reactivate
from broadsheet_gateway.second_factor.remove import remove_every_factor

_log = structlog.get_logger()


class Recovered(msgspec.Struct, frozen=True):
    """`changed`: False if all was so already."""

    changed: bool = True


class UserUnknown(msgspec.Struct, frozen=True):
    pass


class RecoveryRefused(msgspec.Struct, frozen=True):
    reason: str


async def reset_password(
    *, username: str, password: str, engine: AsyncEngine
) -> Recovered | UserUnknown | RecoveryRefused:
    """Ends every session of the user. A second factor stays."""
    async with engine.connect() as connection:
        user = await find_user_by_name(connection, username)
    if user is None:
        return UserUnknown()
    own_words = (user.name, user.email or "")
    fault = find_fault(password, password, username=username, own_words=own_words)
    if fault is not None:
        return RecoveryRefused(explain(fault, password, username=username, own_words=own_words))
    hashing = PasswordHashing(concurrency=1, queue_max=0)
    try:
        new_hash = await hashing.hash(password)
    finally:
        hashing.close()
    async with engine.begin() as connection:
        await set_password_hash(connection, user_id=user.id, new_hash=new_hash)
        await queue_notice(connection, user.email, write_password_changed())
        await record_audit(connection, BY_COMMAND, "user.password_reset", user.id)
    _log.info("security.password_reset", user_id=user.id, by="command")
    return Recovered()


async def set_email(
    *, username: str, address: EmailAddress, engine: AsyncEngine
) -> Recovered | UserUnknown | RecoveryRefused:
    """No session ends. The address before is told by mail, and a link for a new password that went there does not work
    any more.
    """
    async with engine.begin() as connection:
        user = await find_user_by_name(connection, username)
        if user is None:
            return UserUnknown()
        if user.email == address:
            return Recovered(changed=False)
        if not await replace_address(connection, user.id, address):
            return RecoveryRefused(f"another user has the address {address}")
        await void_reset_links(connection, user.id)
        await queue_notice(connection, user.email, write_address_changed())
        await record_audit(connection, BY_COMMAND, "user.email_changed", user.id)
    _log.info("security.email_changed", user_id=user.id, by="command")
    return Recovered()


async def reset_second_factor(*, username: str, engine: AsyncEngine) -> Recovered | UserUnknown:
    """With the recovery codes and the passkeys. Ends every session of the user, who signs in by password alone, and may
    have to set up another factor at once.
    """
    async with engine.begin() as connection:
        user = await find_user_by_name(connection, username)
        if user is None:
            return UserUnknown()
        is_removed = await remove_every_factor(connection, user, by=BY_COMMAND)
    _log.warning("security.second_factor_removed", user_id=user.id, by="command")
    return Recovered(is_removed)


async def make_owner(
    *, username: str, may_reactivate: bool, engine: AsyncEngine
) -> Recovered | UserUnknown | RecoveryRefused:
    """The user owns the whole installation afterwards, with the other roles as they were."""
    async with engine.begin() as connection:
        user = await find_user_by_name(connection, username)
        if user is None:
            return UserUnknown()
        if user.is_deactivated and not may_reactivate:
            return RecoveryRefused("this user is deactivated; --reactivate makes the user active too")
        was_inactive = await reactivate(connection, user.id)
        if was_inactive:
            await record_audit(connection, BY_COMMAND, "user.reactivated", user.id)
        is_new_owner = await grant_owner(connection, user.id)
        if is_new_owner:
            await record_audit(connection, BY_COMMAND, "user.roles_changed", user.id, after={"roles": ["owner"]})
    _log.info("security.owner_granted", user_id=user.id, by="command")
    return Recovered(was_inactive or is_new_owner)
