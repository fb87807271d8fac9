"""Set a second factor up: a secret is shown, and it counts once a code of it was right. New recovery codes."""

from datetime import timedelta
from typing import Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import record_audit
from broadsheet_common.contracts.sealed_secret import SecretBox, UnreadableSecretError
from broadsheet_gateway.account_notices.queue_notice import queue_notice
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.accounts.interface import end_sessions, find_user, lock_user
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.second_factor import store
from broadsheet_gateway.second_factor.authenticator import matching_step, new_secret
from broadsheet_gateway.second_factor.check_code import purpose_of
from broadsheet_gateway.second_factor.notice import Notice, write_notice
from broadsheet_gateway.second_factor.typed_code import AuthenticatorCode, new_recovery_codes, parse_code
from broadsheet_gateway.sign_in.continue_session import continue_session

SET_UP_LIFETIME: Final = timedelta(minutes=15)

_log = structlog.get_logger()


class SetUpDone(msgspec.Struct, frozen=True):
    """The session goes on under a new id. The recovery codes are shown only now."""

    session_id: str
    recovery_codes: tuple[str, ...]


class SetUpCodeWrong(msgspec.Struct, frozen=True):
    """Nothing is changed: another may be tried."""


class NoSetUp(msgspec.Struct, frozen=True):
    """None was begun, it is too old, or the user has a second factor already."""


async def begin_set_up(session: Session, *, engine: AsyncEngine, box: SecretBox) -> bool:
    """Makes a new secret. False if the user has a second factor: they remove it first."""
    sealed = box.seal(new_secret(), purpose=purpose_of(session.user_id))
    async with engine.begin() as connection:
        if await store.find_factor(connection, session.user_id) is not None:
            return False
        await store.begin_set_up(connection, user_id=session.user_id, sealed_secret=sealed)
    return True


async def find_set_up(session: Session, *, engine: AsyncEngine, box: SecretBox) -> str | None:
    """The secret of the set-up that is in hand; None if there is none."""
    async with engine.connect() as connection:
        found = await store.find_set_up(connection, session.user_id, lifetime=SET_UP_LIFETIME)
    return None if found is None else _opened(found, session.user_id, box)


async def finish_set_up(
    session: Session, typed: str, *, engine: AsyncEngine, box: SecretBox, sessions: Sessions
) -> SetUpDone | SetUpCodeWrong | NoSetUp:
    """Every other session of the user ends. The code is used up with it.

    Raises:
        UnavailableError: Redis does not answer; the second factor is in force, and its user signs in with it.
    """
    code = parse_code(typed)
    codes = new_recovery_codes()
    async with engine.begin() as connection:
        await lock_user(connection, session.user_id)
        found = await store.find_set_up(connection, session.user_id, lifetime=SET_UP_LIFETIME)
        secret = None if found is None else _opened(found, session.user_id, box)
        if found is None or secret is None:
            return NoSetUp()
        if not isinstance(code, AuthenticatorCode):
            return SetUpCodeWrong()
        step = matching_step(secret, code.digits, now_s=found.now_s, after_step=0)
        if step is None:
            return SetUpCodeWrong()
        if not await store.insert_factor(
            connection, user_id=session.user_id, sealed_secret=found.sealed_secret, last_step=step
        ):
            return NoSetUp()
        await store.delete_set_up(connection, session.user_id)
        await store.replace_recovery_codes(connection, session.user_id, codes.values())
        await end_sessions(connection, session.user_id)
        await record_audit(
            connection, session.identity, "user.second_factor_added", session.user_id, after={"method": "totp"}
        )
        user = await find_user(connection, session.user_id)
        assert user is not None, "users are never deleted"
        await queue_notice(connection, user.email, write_notice(Notice.ADDED))
    _log.warning("security.second_factor_added", user_id=session.user_id)
    await sessions.end_all(session.user_id)
    session_id = await continue_session(session, user, sessions=sessions, has_second_factor_now=True)
    return SetUpDone(session_id, tuple(codes))


def _opened(found: store.SetUp, user_id: int, box: SecretBox) -> str | None:
    try:
        return box.open(found.sealed_secret, purpose=purpose_of(user_id))
    except UnreadableSecretError:  # the key was changed meanwhile: the user begins again
        return None


async def renew_recovery_codes(session: Session, *, engine: AsyncEngine) -> tuple[str, ...] | None:
    """Those before work no more. None if the user has no second factor."""
    codes = new_recovery_codes()
    async with engine.begin() as connection:
        await lock_user(connection, session.user_id)
        if await store.find_factor(connection, session.user_id) is None:
            return None
        await store.replace_recovery_codes(connection, session.user_id, codes.values())
        await record_audit(connection, session.identity, "user.recovery_codes_renewed", session.user_id)
        user = await find_user(connection, session.user_id)
        assert user is not None, "users are never deleted"
        await queue_notice(connection, user.email, write_notice(Notice.RECOVERY_CODES_RENEWED))
    _log.warning("security.recovery_codes_renewed", user_id=session.user_id)
    return tuple(codes)
