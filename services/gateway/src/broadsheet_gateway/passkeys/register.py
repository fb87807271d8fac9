"""Register a passkey, and remove one."""

import secrets
from typing import Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import record_audit
from broadsheet_gateway.account_notices.queue_notice import queue_notice
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.accounts.interface import end_sessions, find_user, lock_user
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.passkeys import store
from broadsheet_gateway.passkeys.ceremony import (
    PasskeyRefusedError,
    RelyingParty,
    registration_options,
    verify_registration,
)
from broadsheet_gateway.passkeys.challenges import Challenges
from broadsheet_gateway.passkeys.passkey_notice import write_passkey_added, write_passkey_removed
from broadsheet_gateway.sign_in.continue_session import continue_session

PASSKEYS_MAX: Final = 20
NAME_CHARS_MAX: Final = 100
_HANDLE_BYTES: Final = 64

_log = structlog.get_logger()


class PasskeyAdded(msgspec.Struct, frozen=True):
    """The session goes on under a new id: it has proved two factors now."""

    session_id: str


class PasskeyNotAdded(msgspec.Struct, frozen=True):
    """What the browser sent does not hold, the challenge is over, or the passkey is registered already."""


class TooManyPasskeys(msgspec.Struct, frozen=True):
    pass


class LastWayIn(msgspec.Struct, frozen=True):
    """The user has no password, no other passkey, and no address for a link to set a password."""


class PasskeyRemoved(msgspec.Struct, frozen=True):
    session_id: str


class NoSuchPasskey(msgspec.Struct, frozen=True):
    pass


def parse_name(text: str) -> str:
    """Raises ValueError with a sentence for the field."""
    name = " ".join(text.split())
    if not name:
        raise ValueError("Give it a name, such as where it is kept.")
    if len(name) > NAME_CHARS_MAX:
        raise ValueError(f"A name has at most {NAME_CHARS_MAX} characters.")
    if not name.isprintable():
        raise ValueError("The name has characters that cannot be shown.")
    return name


async def begin_registration(
    session: Session, *, party: RelyingParty, challenges: Challenges, engine: AsyncEngine
) -> bytes | TooManyPasskeys:
    """The options, as JSON. Raises `UnavailableError`: Redis does not answer."""
    async with engine.connect() as connection:
        user = await find_user(connection, session.user_id)
        known = await store.list_passkeys(connection, session.user_id)
    assert user is not None, "users are never deleted"
    if len(known) >= PASSKEYS_MAX:
        return TooManyPasskeys()
    handle = known[0].user_handle if known else secrets.token_bytes(_HANDLE_BYTES)
    made = await challenges.make("register", session.id, user_handle=handle)
    return registration_options(
        party,
        challenge=made.challenge,
        user_handle=handle,
        username=user.username,
        name=user.name,
        known=[one.credential_id for one in known],
    )


async def finish_registration(
    session: Session,
    credential: str,
    *,
    name: str,
    party: RelyingParty,
    challenges: Challenges,
    engine: AsyncEngine,
    sessions: Sessions,
) -> PasskeyAdded | PasskeyNotAdded | TooManyPasskeys:
    """`name` is parsed. Other sessions go on: nothing that they rest on has changed.

    Raises:
        UnavailableError: Redis does not answer.
    """
    taken = await challenges.take("register", session.id)
    if taken is None:
        return PasskeyNotAdded()
    try:
        made = verify_registration(party, credential, challenge=taken.challenge)
    except PasskeyRefusedError as error:
        _log.warning("security.passkey_not_added", user_id=session.user_id, reason=str(error))
        return PasskeyNotAdded()
    async with engine.begin() as connection:
        await lock_user(connection, session.user_id)
        passkey_id = await store.insert_passkey(
            connection,
            user_id=session.user_id,
            made=made,
            user_handle=taken.user_handle,
            name=name,
            passkeys_max=PASSKEYS_MAX,
        )
        if passkey_id is None:
            held = await store.list_passkeys(connection, session.user_id)
            return TooManyPasskeys() if len(held) >= PASSKEYS_MAX else PasskeyNotAdded()
        await record_audit(
            connection, session.identity, "user.passkey_added", session.user_id, after={"passkey_id": passkey_id}
        )
        user = await find_user(connection, session.user_id)
        assert user is not None, "users are never deleted"
        await queue_notice(connection, user.email, write_passkey_added())
    _log.warning("security.passkey_added", user_id=session.user_id)
    return PasskeyAdded(await continue_session(session, user, sessions=sessions, has_second_factor_now=True))


async def remove_passkey(
    session: Session, passkey_id: int, *, engine: AsyncEngine, sessions: Sessions
) -> PasskeyRemoved | NoSuchPasskey | LastWayIn:
    """It opens nothing from the commit on. Every other session of the user ends: one may have begun with it.

    Raises:
        UnavailableError: Redis does not answer; the passkey is removed, and its user signs in again.
    """
    async with engine.begin() as connection:
        await lock_user(connection, session.user_id)
        user = await find_user(connection, session.user_id)
        assert user is not None, "users are never deleted"
        held = await store.list_passkeys(connection, session.user_id)
        if user.password_hash is None and user.email is None and [one.id for one in held] == [passkey_id]:
            return LastWayIn()
        if not await store.delete_passkey(connection, user_id=session.user_id, passkey_id=passkey_id):
            return NoSuchPasskey()
        await end_sessions(connection, session.user_id)
        await record_audit(
            connection, session.identity, "user.passkey_removed", session.user_id, before={"passkey_id": passkey_id}
        )
        await queue_notice(connection, user.email, write_passkey_removed())
        after = await find_user(connection, session.user_id)
    assert after is not None, "users are never deleted"
    _log.warning("security.passkey_removed", user_id=session.user_id)
    await sessions.end_all(session.user_id)
    return PasskeyRemoved(await continue_session(session, after, sessions=sessions))
