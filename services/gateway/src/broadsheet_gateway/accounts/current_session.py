"""The session of a request: the one its cookie names, if Redis has it and the password has not changed since."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from litestar.connection import ASGIConnection
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import Identity
from broadsheet_common.contracts.permissions import GRANTABLE
from broadsheet_gateway.accounts.sessions import SessionData, Sessions
from broadsheet_gateway.accounts.store import UserAccount, find_user
from broadsheet_gateway.http import csrf
from broadsheet_gateway.pages.views import SignedIn

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LoginNeededError(Exception):
    """A page that needs a session was requested without one: the answer is 303 `/login`."""


class Session(msgspec.Struct, frozen=True):
    """A valid session."""

    id: str
    user_id: int
    username: str

    @property
    def signed_in(self) -> SignedIn:
        return SignedIn(username=self.username, csrf_token=csrf.csrf_token(self.id))

    @property
    def identity(self) -> Identity:
        return Identity(subject=f"user:{self.user_id}", scopes=GRANTABLE)


class CurrentSession:
    """Finds the session of a request."""

    def __init__(self, *, engine: AsyncEngine, sessions: Sessions, cookie_name: str) -> None:
        self._engine = engine
        self._sessions = sessions
        self._cookie_name = cookie_name

    async def find(self, cookies: Mapping[str, str]) -> Session | None:
        """None without a session. Redis is not asked when there is no cookie.

        Raises:
            UnavailableError: Redis does not answer.
        """
        session_id = cookies.get(self._cookie_name)
        if not session_id:
            return None
        data = await self._sessions.find(session_id)
        if data is None:
            return None
        async with self._engine.connect() as connection:
            user = await find_user(connection, data.user_id)
        if user is None or session_data(user) != data:
            await self._sessions.end(session_id)
            return None
        return Session(id=session_id, user_id=user.id, username=user.username)

    async def require(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Session:
        """Raises `LoginNeededError` without a session."""
        session = await self.find(connection.cookies)
        if session is None:
            raise LoginNeededError
        return session


def session_data(user: UserAccount) -> SessionData:
    """The data a new session stores about its user."""
    return SessionData(
        user_id=user.id, password_changed_at_us=(user.password_changed_at - _EPOCH) // timedelta(microseconds=1)
    )
