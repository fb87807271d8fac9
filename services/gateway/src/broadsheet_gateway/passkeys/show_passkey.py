"""Somebody shows a passkey: to sign in without a user name, or as a fresh proof inside."""

from typing import Literal

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import record_audit
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.accounts.interface import UserAccount, find_user
from broadsheet_gateway.accounts.note_sign_in import SignInNotes
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.own_sessions.note_refused_proof import note_refused_proof
from broadsheet_gateway.passkeys import store
from broadsheet_gateway.passkeys.ceremony import (
    PasskeyRefusedError,
    RelyingParty,
    read_assertion,
    verify_assertion,
)
from broadsheet_gateway.passkeys.challenges import Challenges
from broadsheet_gateway.sign_in.admission import Admission, Admitted, Visit
from broadsheet_gateway.sign_in.continue_session import continue_session

_log = structlog.get_logger()


class PasskeyRefused(msgspec.Struct, frozen=True):
    """`user_id` is None for a passkey that nobody has."""

    reason: Literal["malformed", "challenge_over", "unknown_passkey", "not_verified", "counter_went_back"]
    user_id: int | None = None


async def sign_in_by_passkey(
    credential: str,
    *,
    browser: str | None,
    visit: Visit,
    party: RelyingParty,
    challenges: Challenges,
    admission: Admission,
    notes: SignInNotes,
    engine: AsyncEngine,
) -> Admitted | PasskeyRefused:
    """`browser`: the secret that its cookie holds.

    Raises:
        UnavailableError: Redis does not answer.
    """
    taken = None if browser is None else await challenges.take("sign-in", browser)
    shown = await _verify(credential, None if taken is None else taken.challenge, party=party, engine=engine)
    if isinstance(shown, PasskeyRefused):
        _log.warning("security.login_refused", user_id=shown.user_id, reason=shown.reason, method="passkey")
        await notes.refused(shown.user_id, address=visit.address, method="passkey", reason=shown.reason)
        return shown
    return await admission.admit(shown, method="passkey", visit=visit)


async def confirm_by_passkey(
    session: Session,
    credential: str,
    *,
    party: RelyingParty,
    challenges: Challenges,
    engine: AsyncEngine,
    sessions: Sessions,
) -> str | PasskeyRefused:
    """The new id under which the session goes on, with two factors proved now. A passkey of somebody else is refused.

    Raises:
        UnavailableError: Redis does not answer.
    """
    taken = await challenges.take("confirm", session.id)
    shown = await _verify(
        credential, None if taken is None else taken.challenge, party=party, engine=engine, of_user=session.user_id
    )
    if isinstance(shown, PasskeyRefused):
        await note_refused_proof(session, method="passkey", reason=shown.reason, engine=engine)
        return shown
    async with engine.begin() as connection:
        await record_audit(connection, session.identity, "user.reauthenticated", shown.id, after={"method": "passkey"})
    _log.info("security.identity_confirmed", user_id=shown.id, by="passkey")
    return await continue_session(session, shown, sessions=sessions, is_proved_now=True, has_second_factor_now=True)


async def _verify(
    credential: str,
    challenge: bytes | None,
    *,
    party: RelyingParty,
    engine: AsyncEngine,
    of_user: int | None = None,
) -> UserAccount | PasskeyRefused:
    """Whose passkey it is, if everything holds. The use is noted, and the counter with it."""
    try:
        assertion = read_assertion(credential)
    except PasskeyRefusedError:
        return PasskeyRefused("malformed")
    async with engine.connect() as connection:
        found = await store.find_passkey(connection, assertion.credential_id)
    if found is None or (of_user is not None and found.user_id != of_user):
        return PasskeyRefused("unknown_passkey")
    if challenge is None:
        return PasskeyRefused("challenge_over", found.user_id)
    try:
        sign_count = verify_assertion(party, assertion, challenge=challenge, public_key=found.public_key)
    except PasskeyRefusedError:
        return PasskeyRefused("not_verified", found.user_id)
    if assertion.user_handle is not None and assertion.user_handle != found.user_handle:
        return PasskeyRefused("not_verified", found.user_id)
    async with engine.begin() as connection:
        user = await find_user(connection, found.user_id)
        is_noted = await store.note_use(connection, found.id, sign_count=sign_count)
        # A passkey that was removed meanwhile is no longer there to be noted either.
        is_there = is_noted or await store.find_passkey(connection, assertion.credential_id) is not None
    assert user is not None, "users are never deleted"
    if not is_there:
        return PasskeyRefused("unknown_passkey")
    return user if is_noted else PasskeyRefused("counter_went_back", found.user_id)
