"""Prove again who one is, in a session that goes on: what may be done only with a recent proof is open again."""

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import record_audit
from broadsheet_common.contracts.sealed_secret import SecretBox
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.accounts.interface import find_user
from broadsheet_gateway.accounts.password_hashing import PasswordHashing
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.own_sessions.note_refused_proof import note_refused_proof
from broadsheet_gateway.second_factor.check_code import CodeAccepted, CodeRefused, TooManyCodes, check_code
from broadsheet_gateway.sign_in.continue_session import continue_session

_log = structlog.get_logger()


class IdentityConfirmed(msgspec.Struct, frozen=True):
    """The session goes on under a new id (ASVS 5, 7.2.4)."""

    session_id: str


class IdentityNotConfirmed(msgspec.Struct, frozen=True):
    """The password is wrong, or the user has none."""


class CodeNotConfirmed(msgspec.Struct, frozen=True):
    """The password is right; the code of the second factor is not."""


async def confirm_by_password(
    session: Session,
    password: str,
    *,
    code: str,
    engine: AsyncEngine,
    hashing: PasswordHashing,
    sessions: Sessions,
    box: SecretBox,
) -> IdentityConfirmed | IdentityNotConfirmed | CodeNotConfirmed | TooManyCodes:
    """`code` counts for a user who has a second factor, and is not looked at while the password is wrong.

    Raises:
        UnavailableError: Redis does not answer, or too many checks are queued.
    """
    async with engine.connect() as connection:
        user = await find_user(connection, session.user_id)
    matches = await hashing.verify(user.password_hash if user is not None else None, password)
    if user is None or not matches:
        await note_refused_proof(session, method="password", reason="wrong_password", engine=engine)
        return IdentityNotConfirmed()
    method, checked = "password", None
    async with engine.begin() as connection:
        if user.has_second_factor:
            checked = await check_code(connection, user, code, address=session.address, box=box)
        if isinstance(checked, CodeAccepted):
            method = f"password+{checked.kind}"
        if checked is None or isinstance(checked, CodeAccepted):
            await record_audit(connection, session.identity, "user.reauthenticated", user.id, after={"method": method})
    if isinstance(checked, TooManyCodes):
        await note_refused_proof(session, method="password", reason="too_many_codes", engine=engine)
        return checked
    if isinstance(checked, CodeRefused):
        await note_refused_proof(session, method="password", reason="wrong_code", engine=engine)
        return CodeNotConfirmed()
    _log.info("security.identity_confirmed", user_id=user.id, by=method)
    return IdentityConfirmed(
        await continue_session(
            session, user, sessions=sessions, is_proved_now=True, has_second_factor_now=user.has_second_factor
        )
    )
