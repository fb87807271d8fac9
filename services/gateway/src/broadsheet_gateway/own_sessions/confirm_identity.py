"""Prove again who one is, in a session that goes on: what may be done only with a recent proof is open again."""

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import record_audit
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.accounts.interface import find_user
from broadsheet_gateway.accounts.password_hashing import PasswordHashing
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.sign_in.continue_session import continue_session

_log = structlog.get_logger()


class IdentityConfirmed(msgspec.Struct, frozen=True):
    """The session goes on under a new id (ASVS 5, 7.2.4)."""

    session_id: str


class IdentityNotConfirmed(msgspec.Struct, frozen=True):
    """The password is wrong, or the user has none."""


async def confirm_by_password(
    session: Session, password: str, *, engine: AsyncEngine, hashing: PasswordHashing, sessions: Sessions
) -> IdentityConfirmed | IdentityNotConfirmed:
    """Raises `UnavailableError`: Redis does not answer, or too many checks are queued."""
    async with engine.connect() as connection:
        user = await find_user(connection, session.user_id)
    matches = await hashing.verify(user.password_hash if user is not None else None, password)
    if user is None or not matches:
        _log.warning("security.confirmation_refused", user_id=session.user_id, reason="wrong_password")
        return IdentityNotConfirmed()
    async with engine.begin() as connection:
        await record_audit(connection, session.identity, "user.reauthenticated", user.id, after={"method": "password"})
    _log.info("security.identity_confirmed", user_id=user.id, by="password")
    return IdentityConfirmed(await continue_session(session, user, sessions=sessions, is_proved_now=True))
