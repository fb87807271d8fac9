"""End sessions: one of one's own, all others of one's own, or everybody else's on an owner's word.

The database is told first: from that commit on no earlier session is valid, even if Redis cannot be told.
"""

from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import record_audit
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.accounts.interface import end_sessions, find_user
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.sign_in.continue_session import continue_session

_ONE: Final = {"sessions": 1}

_log = structlog.get_logger()


async def end_one_session(session: Session, handle: str, *, engine: AsyncEngine, sessions: Sessions) -> bool:
    """False if the user has no such session.

    Raises:
        UnavailableError: Redis does not answer; the session goes on.
    """
    ended = await sessions.end_one(session.user_id, handle)
    if ended:
        _log.info("security.session_ended", user_id=session.user_id)
        async with engine.begin() as connection:
            await record_audit(connection, session.identity, "user.sessions_ended", session.user_id, after=_ONE)
    return ended


async def end_other_sessions(session: Session, *, engine: AsyncEngine, sessions: Sessions) -> str:
    """The new id under which this session goes on, with what it knew of its user.

    Raises:
        UnavailableError: Redis does not answer; then this session has ended too.
    """
    async with engine.begin() as connection:
        await end_sessions(connection, session.user_id)
        await record_audit(connection, session.identity, "user.sessions_ended", session.user_id)
        user = await find_user(connection, session.user_id)
    assert user is not None, "users are never deleted"
    _log.info("security.sessions_ended", user_id=session.user_id, ended_by=session.user_id)
    await sessions.end_all(session.user_id)
    return await continue_session(session, user, sessions=sessions)
