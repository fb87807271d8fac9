"""The one way from "somebody has shown who they are" to a session.

Whatever proves a person comes here: a password, a passkey, an invitation's link, an account elsewhere. So no way of
signing in can forget the second factor. (If one did start a session by itself, that session would not be found for a
user who has a second factor: see `has_ended`.)
"""

from typing import Final, Literal

import msgspec
import structlog

from broadsheet_gateway.accounts.current_session import session_data, to_us
from broadsheet_gateway.accounts.interface import UserAccount
from broadsheet_gateway.accounts.note_sign_in import SignInNotes
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.sign_in.half_sign_ins import HalfSignIn, HalfSignIns

Method = Literal["password", "passkey", "invitation", "oidc"]
"""How somebody has shown who they are. An `invitation` was mailed, and its link opened; by `oidc`
a provider has said who came.
"""

PROVE_BOTH: Final[frozenset[Method]] = frozenset({"passkey"})
"""Methods that prove two factors at once: a passkey is had, and opens for its owner alone."""

_log = structlog.get_logger()


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """The request that signs in. `source` and `browser` are what the user is shown of where the session began;
    `address` is for the audit log, None if it is not known; the session that the browser had ends.
    """

    source: str
    browser: str
    address: str | None
    earlier_session_id: str | None


class SignedIn(msgspec.Struct, frozen=True):
    session_id: str


class SecondFactorNeeded(msgspec.Struct, frozen=True):
    """There is no session yet. `half_sign_in` is for the browser's cookie."""

    half_sign_in: str


class NotAdmitted(msgspec.Struct, frozen=True):
    """The user is deactivated."""


Admitted = SignedIn | SecondFactorNeeded | NotAdmitted


class Admission:
    def __init__(self, *, sessions: Sessions, half_sign_ins: HalfSignIns, notes: SignInNotes) -> None:
        self._sessions = sessions
        self._half_sign_ins = half_sign_ins
        self._notes = notes

    async def admit(
        self, user: UserAccount, *, method: Method, visit: Visit, is_vouched_for: bool = False, is_fresh: bool = True
    ) -> Admitted:
        """`user` as it was read when the proof was judged: what changed since (a password) ends the session again.

        `is_vouched_for`: a provider that is trusted with it says that two factors were proved. `is_fresh`: the proof is
        of now; else the session begins without a fresh one.

        Raises:
            UnavailableError: Redis does not answer.
        """
        if user.is_deactivated:
            _log.warning("security.login_refused", user_id=user.id, reason="deactivated", method=method)
            await self._notes.refused(user.id, address=visit.address, method=method, reason="deactivated")
            return NotAdmitted()
        if user.has_second_factor and method not in PROVE_BOTH and not is_vouched_for:
            half = HalfSignIn(
                user_id=user.id,
                method=method,
                password_changed_at_us=to_us(user.password_changed_at),
                started_at_us=to_us(user.read_at),
                is_fresh=is_fresh,
            )
            return SecondFactorNeeded(await self._half_sign_ins.begin(half))
        return await self.start(
            user,
            method=method,
            visit=visit,
            is_two_factor=method in PROVE_BOTH or is_vouched_for,
            is_vouched_for=is_vouched_for,
            is_fresh=is_fresh,
        )

    async def start(
        self,
        user: UserAccount,
        *,
        method: str,
        visit: Visit,
        is_two_factor: bool,
        is_vouched_for: bool = False,
        is_fresh: bool = True,
    ) -> SignedIn:
        """For this folder alone: everything that is needed has been proved."""
        if visit.earlier_session_id is not None:
            await self._sessions.end(visit.earlier_session_id)
        session_id = await self._sessions.start(
            session_data(
                user,
                source=visit.source,
                browser=visit.browser,
                is_two_factor=is_two_factor,
                is_vouched_for=is_vouched_for,
                authenticated_at_us=None if is_fresh else 0,
            )
        )
        # Before anybody has the session's id: no session is used whose beginning is not in the log.
        await self._notes.signed_in(user.id, address=visit.address, method=method)
        _log.info("security.login_succeeded", user_id=user.id, method=method)
        return SignedIn(session_id)
