"""Remove a second factor: one's own, another user's by an owner, or by command. All its user's other sessions end."""

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.contracts.audit import By, record_audit
from broadsheet_gateway.account_notices.queue_notice import queue_notice
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.accounts.interface import UserAccount, end_sessions, find_user, lock_user
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.passkeys.interface import delete_passkeys
from broadsheet_gateway.passkeys.passkey_notice import write_passkey_removed
from broadsheet_gateway.second_factor import store
from broadsheet_gateway.second_factor.notice import Notice, write_notice
from broadsheet_gateway.sign_in.continue_session import continue_session

_log = structlog.get_logger()


async def remove_factor(connection: AsyncConnection, user: UserAccount, *, by: By) -> bool:
    """In the caller's transaction: with the recovery codes; every session ends; the user is told. False: there was
    none.
    """
    await lock_user(connection, user.id)
    if not await store.delete_factor(connection, user.id):
        return False
    await end_sessions(connection, user.id)
    await record_audit(connection, by, "user.second_factor_removed", user.id, after={"method": "totp"})
    await queue_notice(connection, user.email, write_notice(Notice.REMOVED))
    return True


async def remove_every_factor(connection: AsyncConnection, user: UserAccount, *, by: By) -> bool:
    """For somebody who has lost them: the passkeys go too. False: there was nothing."""
    was_there = await remove_factor(connection, user, by=by)
    passkey_ids = await delete_passkeys(connection, user.id)
    for passkey_id in passkey_ids:
        await record_audit(connection, by, "user.passkey_removed", user.id, before={"passkey_id": passkey_id})
    if passkey_ids:
        await end_sessions(connection, user.id)
        await queue_notice(connection, user.email, write_passkey_removed())
    return was_there or bool(passkey_ids)


async def remove_own_factor(session: Session, *, engine: AsyncEngine, sessions: Sessions) -> str | None:
    """The new id under which the session goes on; None if there was no second factor.

    Raises:
        UnavailableError: Redis does not answer; the second factor is removed, and its user signs in again.
    """
    async with engine.begin() as connection:
        user = await find_user(connection, session.user_id)
        assert user is not None, "users are never deleted"
        if not await remove_factor(connection, user, by=session.identity):
            return None
        after = await find_user(connection, session.user_id)
    assert after is not None, "users are never deleted"
    _log.warning("security.second_factor_removed", user_id=session.user_id, by=session.user_id)
    await sessions.end_all(session.user_id)
    return await continue_session(session, after, sessions=sessions)
