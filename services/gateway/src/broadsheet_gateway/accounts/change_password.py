"""Change a password: checked in the original's order (match, length, current); every other session of the user ends."""

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import record_audit
from broadsheet_gateway.account_notices.notices import write_password_changed
from broadsheet_gateway.account_notices.queue_notice import queue_notice
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.accounts.password import PasswordFault, explain, find_fault
from broadsheet_gateway.accounts.password_hashing import PasswordHashing
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.accounts.store import find_user, replace_password
from broadsheet_gateway.settings import DEFAULT_PASSWORD
from broadsheet_gateway.sign_in.continue_session import continue_session

_log = structlog.get_logger()


class PasswordChanged(msgspec.Struct, frozen=True):
    """The user's session continues under a new id."""

    session_id: str


class NewPasswordRefused(msgspec.Struct, frozen=True):
    """`reason`: sentences for the field."""

    fault: PasswordFault
    reason: str


class CurrentPasswordWrong(msgspec.Struct, frozen=True):
    """The current password is wrong, or was changed meanwhile."""


async def change_password(
    *,
    session: Session,
    current: str,
    new: str,
    new_repeated: str,
    may_use_default_password: bool,
    engine: AsyncEngine,
    hashing: PasswordHashing,
    sessions: Sessions,
) -> PasswordChanged | NewPasswordRefused | CurrentPasswordWrong:
    """The change is one statement, conditional on the hash that was checked: no transaction is open while hashing.

    Raises:
        UnavailableError: Redis does not answer, or too many checks are queued.
    """
    async with engine.connect() as connection:
        user = await find_user(connection, session.user_id)
    own_words = () if user is None else (user.name, user.email or "")
    fault = find_fault(new, new_repeated, username=session.username, own_words=own_words)
    if fault is None and new == DEFAULT_PASSWORD and not may_use_default_password:
        fault = PasswordFault.COMMON
    if fault is not None:
        return NewPasswordRefused(fault, explain(fault, new, username=session.username, own_words=own_words))
    if user is None or not await hashing.verify(user.password_hash, current):
        _log.warning("security.password_change_refused", user_id=session.user_id, reason="wrong_current_password")
        await _record_refusal(session, engine)
        return CurrentPasswordWrong()
    new_hash = await hashing.hash(new)
    async with engine.begin() as connection:
        changed_at = await replace_password(connection, user_id=user.id, old_hash=user.password_hash, new_hash=new_hash)
        if changed_at is not None:
            await queue_notice(connection, user.email, write_password_changed())
            await record_audit(connection, session.identity, "user.password_changed", user.id)
    if changed_at is None:
        # Another change came first: what was typed is not the current one any more.
        await _record_refusal(session, engine)
        return CurrentPasswordWrong()
    _log.info("security.password_changed", user_id=user.id)
    # From this commit on no older session is valid, even if Redis cannot be told (see current_session).
    await sessions.end_all(user.id)
    # It begins when the current password was judged: what ended the user's sessions since ends it too.
    renewed = msgspec.structs.replace(user, password_hash=new_hash, password_changed_at=changed_at)
    # The password alone is no fresh proof of somebody who has a second factor.
    is_proved_now = not user.has_second_factor
    return PasswordChanged(await continue_session(session, renewed, sessions=sessions, is_proved_now=is_proved_now))


async def _record_refusal(session: Session, engine: AsyncEngine) -> None:
    """How often has a bound: the tries of a user are limited before they come here."""
    async with engine.begin() as connection:
        await record_audit(
            connection,
            session.identity,
            "user.password_change_refused",
            session.user_id,
            after={"reason": "wrong_current_password"},
        )
