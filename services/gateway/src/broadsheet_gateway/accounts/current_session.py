"""The session of a request: the one its cookie names, if Redis has it and nothing in the database has ended it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from litestar.connection import ASGIConnection
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import Identity
from broadsheet_common.http.problems import ProblemError
from broadsheet_gateway.access.interface import read_grants
from broadsheet_gateway.access.rights import Rights, rights_of
from broadsheet_gateway.accounts.sessions import SessionData, Sessions
from broadsheet_gateway.accounts.store import UserAccount, find_user
from broadsheet_gateway.http import csrf
from broadsheet_gateway.pages.times import PageZones
from broadsheet_gateway.pages.views import SignedIn
from broadsheet_gateway.second_factor.interface import is_required_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LoginNeededError(Exception):
    """A page that needs a session was requested without one: the answer is 303 `/login`."""


class Session(msgspec.Struct, frozen=True):
    """A valid session."""

    id: str
    user_id: int
    username: str
    rights: Rights
    data: SessionData
    is_recent: bool
    """Whether the user proved a short time ago who they are (see `require_recent`)."""
    has_password: bool = True
    has_second_factor: bool = False
    has_passkey: bool = False
    must_set_up_factor: bool = False
    """A second factor is required of the user, and this session has proved none: nothing else is open."""
    provider_name: str = ""
    """What people call the provider that they may sign in by; empty: none is set."""
    address: str | None = None
    """Where the request came from, as far as it is known."""
    zones: PageZones = PageZones()
    """The time zones in which pages show times."""

    @property
    def may_add_factor(self) -> bool:
        """Who must have two factors and has a passkey signs in with it: the password alone adds no other."""
        return not (self.must_set_up_factor and self.has_passkey)

    @property
    def signed_in(self) -> SignedIn:
        return SignedIn(
            username=self.username,
            csrf_token=csrf.csrf_token(self.id),
            permissions=self.rights.anywhere,
            everywhere=self.rights.everywhere,
            provider_name=self.provider_name,
            zones=self.zones,
        )

    @property
    def identity(self) -> Identity:
        subject = f"user:{self.user_id}"
        return Identity(subject, self.rights.everywhere, self.rights.limited, user=subject, source=self.address)


class CurrentSession:
    """Finds the session of a request."""

    def __init__(
        self, *, engine: AsyncEngine, sessions: Sessions, cookie_name: str, recent_s: int, provider_name: str = ""
    ) -> None:
        """`recent_s`: how long a proof of who somebody is counts as recent. `provider_name`: see `Session`."""
        self._engine = engine
        self._sessions = sessions
        self._cookie_name = cookie_name
        self._provider_name = provider_name
        self._recent_us = recent_s * 1_000_000

    async def find(self, cookies: Mapping[str, str], *, is_use: bool = True) -> Session | None:
        """None without a session. Redis is not asked when there is no cookie. `is_use`: see `Sessions.find`.

        Raises:
            UnavailableError: Redis does not answer.
        """
        session_id = cookies.get(self._cookie_name)
        if not session_id:
            return None
        data = await self._sessions.find(session_id, is_use=is_use)
        if data is None:
            return None
        async with self._engine.connect() as connection:
            user = await find_user(connection, data.user_id)
            grants = await read_grants(connection, [data.user_id])
            has_proved_two = data.is_two_factor and user is not None and (user.has_second_factor or user.has_passkey)
            must_set_up = not (has_proved_two or data.is_vouched_for) and await is_required_of(connection, data.user_id)
        if user is None or has_ended(data, user):
            await self._sessions.end(session_id)
            return None
        return Session(
            id=session_id,
            user_id=user.id,
            username=user.username,
            rights=rights_of(grants[user.id]),
            data=data,
            has_password=user.password_hash is not None,
            has_second_factor=user.has_second_factor,
            has_passkey=user.has_passkey,
            must_set_up_factor=must_set_up,
            provider_name=self._provider_name,
            # A proof of the future is none either: a database's clock that went back must not make one last.
            is_recent=abs(to_us(user.read_at) - data.authenticated_at_us) <= self._recent_us,
        )

    async def require(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Session:
        """Raises `LoginNeededError` without a session."""
        session = await self.find(connection.cookies)
        if session is None:
            raise LoginNeededError
        return session


class RecentAuthenticationNeededError(ProblemError):
    """A page asks for the proof and comes back (`/admin/confirm`)."""

    slug, title, status = "recent-authentication-needed", "Confirm that it is you", 403

    def __init__(self) -> None:
        super().__init__("Sign in again, or confirm your password at /admin/confirm, then repeat the request.")


def require_recent(session: Session) -> None:
    """For what a stolen session must not do: keys, users, exports, two-factor changes.

    Raises:
        RecentAuthenticationNeededError: the user last proved who they are too long ago.
    """
    if not session.is_recent:
        raise RecentAuthenticationNeededError


def has_ended(data: SessionData, user: UserAccount) -> bool:
    """Whether the database says that the session is over."""
    return (
        user.is_deactivated
        or data.password_changed_at_us != to_us(user.password_changed_at)
        or (user.sessions_end_before is not None and data.started_at_us < to_us(user.sessions_end_before))
        or (user.has_second_factor and not data.is_two_factor)
    )


def session_data(
    user: UserAccount,
    *,
    source: str,
    browser: str,
    is_two_factor: bool,
    authenticated_at_us: int | None = None,
    is_vouched_for: bool = False,
) -> SessionData:
    """The data of a session that begins now. `authenticated_at_us` None: its user has just proved who they are."""
    now_us = to_us(user.read_at)
    return SessionData(
        user_id=user.id,
        password_changed_at_us=to_us(user.password_changed_at),
        started_at_us=now_us,
        authenticated_at_us=now_us if authenticated_at_us is None else authenticated_at_us,
        source=source,
        browser=browser,
        is_two_factor=is_two_factor,
        is_vouched_for=is_vouched_for,
    )


def to_us(instant: datetime) -> int:
    """Microseconds since 1970."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def from_us(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
