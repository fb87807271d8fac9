"""Log in: a user name, or the user's address, and a password become a session, or the first half of a sign-in.

The same steps run for an unknown user as for a wrong password: one look-up, one argon2 check.
"""

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_gateway.accounts.attempts import email_key_of
from broadsheet_gateway.accounts.interface import UserAccount, find_user_to_sign_in, replace_hash
from broadsheet_gateway.accounts.note_sign_in import SignInNotes
from broadsheet_gateway.accounts.password_hashing import PasswordHashing
from broadsheet_gateway.settings import DEFAULT_PASSWORD
from broadsheet_gateway.sign_in.admission import Admission, Admitted, Visit

_log = structlog.get_logger()


class WrongCredentials(msgspec.Struct, frozen=True):
    """The user does not exist, is deactivated, or has no password, or the password is wrong: nobody can tell which."""


async def log_in(
    *,
    username: str,
    password: str,
    visit: Visit,
    admission: Admission,
    notes: SignInNotes,
    may_use_default_password: bool,
    engine: AsyncEngine,
    hashing: PasswordHashing,
) -> Admitted | WrongCredentials:
    """Creates a session with a new id, or asks for the second factor.

    Raises:
        UnavailableError: Redis does not answer, or too many checks are queued.
    """
    async with engine.connect() as connection:
        user = await find_user_to_sign_in(connection, name=username, email_key=email_key_of(username))
    matches = await hashing.verify(user.password_hash if user is not None else None, password)
    if user is None or not matches or user.is_deactivated:
        _log.warning("security.login_refused", user_id=None if user is None else user.id, reason="wrong_credentials")
        user_id = None if user is None else user.id
        await notes.refused(user_id, address=visit.address, method="password", reason="wrong_credentials")
        return WrongCredentials()
    if password == DEFAULT_PASSWORD and not may_use_default_password:
        _log.warning("security.login_refused", user_id=user.id, reason="default_password")
        await notes.refused(user.id, address=visit.address, method="password", reason="default_password")
        return WrongCredentials()
    await _rehash_if_needed(user, password, engine=engine, hashing=hashing)
    return await admission.admit(user, method="password", visit=visit)


async def _rehash_if_needed(user: UserAccount, password: str, *, engine: AsyncEngine, hashing: PasswordHashing) -> None:
    """Only here is the password available to be hashed again with today's parameters."""
    if user.password_hash is None or not hashing.needs_rehash(user.password_hash):
        return
    new_hash = await hashing.hash(password)
    async with engine.begin() as connection:
        await replace_hash(connection, user_id=user.id, old_hash=user.password_hash, new_hash=new_hash)
