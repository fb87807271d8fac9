"""How often somebody may try to prove who they are.

Counted by user *and* source, so that a stranger's wrong tries do not lock the user out; with a wide cap for the user
over all sources, and one for a source over all users. Every page that takes a password counts here.
"""

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.problems import TooManyRequestsError
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_gateway.accounts.note_sign_in import SignInNotes
from broadsheet_gateway.accounts.store import find_user_to_sign_in
from broadsheet_gateway.http.client_address import UNKNOWN
from broadsheet_gateway.limits.limiter import Charge, Limiter
from broadsheet_gateway.limits.rate_limit import RateLimit
from broadsheet_gateway.settings import RateLimits

NAME_CHARS_MAX = 320
_LOCKOUTS_NOTED = RateLimit(1, 60)

_log = structlog.get_logger()


class SignInAttempts:
    def __init__(self, *, limiter: Limiter, limits: RateLimits, engine: AsyncEngine) -> None:
        self._limiter = limiter
        self._limits = limits
        self._engine = engine
        self._notes = SignInNotes(engine, limiter)

    async def count_password(self, name: str, *, source: str) -> Charge:
        """`name`: a user name or address, as typed. The charge to clear once the password was right.

        Raises:
            TooManyRequestsError: somebody tried too often.
        """
        subject = (email_key_of(name) or name)[:NAME_CHARS_MAX]
        by_user = Charge("login-user", f"{source} {subject}", self._limits.login_per_user)
        try:
            await self._limiter.require(
                [
                    by_user,
                    Charge("login-user-all", subject, self._limits.login_per_user_overall),
                    Charge("login-address", source, self._limits.login_per_ip),
                ]
            )
        except TooManyRequestsError as error:
            await self._note_lockout(subject, error, source=source)
            raise
        return by_user

    async def clear(self, charge: Charge) -> None:
        await self._limiter.clear(charge)

    async def _note_lockout(self, name: str, refusal: TooManyRequestsError, *, source: str) -> None:
        """Logged at most once a minute for a name: a flood of refused logins costs neither queries nor log lines."""
        [verdict] = await self._limiter.charge([Charge("login-lockout-noted", name, _LOCKOUTS_NOTED)])
        if not verdict.is_allowed:
            return
        async with self._engine.connect() as connection:
            user = await find_user_to_sign_in(connection, name=name, email_key=email_key_of(name))
        policy = refusal.headers["RateLimit-Policy"].partition(";")[0].strip('"')
        _log.warning("security.login_limited", user_id=None if user is None else user.id, limit=policy)
        await self._notes.limited(None if user is None else user.id, address=_address(source), limit=policy)


def _address(source: str) -> str | None:
    """What limits count, an address or the network of one, as the audit log takes it."""
    return None if source == UNKNOWN else source


def email_key_of(text: str) -> str | None:
    """The address's key, if the text is an address."""
    if "@" not in text or len(text) > NAME_CHARS_MAX:
        return None
    try:
        return EmailAddress.parse(text).key
    except ValueError:
        return None
