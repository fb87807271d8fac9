"""End sessions: one of one's own, all others of one's own, or everybody else's on an owner's word.

The database is told first: from that commit on no earlier session is valid, even if Redis cannot be told.
"""

from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import record_audit
from broadsheet_gateway.accounts.current_session import Session, session_data
from broadsheet_gateway.accounts.interface import end_sessions, find_user
from broadsheet_gateway.accounts.sessions import SessionData, Sessions

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
    fresh = session_data(user, source=session.data.source, browser=session.data.browser)
    return await sessions.start(
        SessionData(
            user_id=fresh.user_id,
            password_changed_at_us=fresh.password_changed_at_us,
            started_at_us=fresh.started_at_us,
            authenticated_at_us=session.data.authenticated_at_us,
            source=fresh.source,
            browser=fresh.browser,
        )
    )
