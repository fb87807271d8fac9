"""Visits to the provider in Redis: a browser was sent there and is expected back.

Each belongs to the browser that has its token as a cookie *and* brings its state back: only the SHA-256 of both
together is kept, so a wrong state finds nothing and ends nothing. It lasts `LIFETIME_S` and is found once.
"""

import hashlib
import re
import secrets
from typing import Final

import msgspec
import structlog
from redis.asyncio import Redis

from broadsheet_common.http.problems import UnavailableError
from broadsheet_gateway.limits.redis_client import REDIS_ERRORS

KEY_PREFIX: Final = "broadsheet:provider-visit:"
LIFETIME_S: Final = 600
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")

# KEYS: the visit. Answers what is kept of it, and ends it.
_TAKE: Final = """
local data = redis.call('GET', KEYS[1])
if data then redis.call('DEL', KEYS[1]) end
return data
"""

_log = structlog.get_logger()


class Visit(msgspec.Struct, frozen=True):
    """`nonce` comes back in the ID token, `verifier` goes with the code (RFC 7636). `links_session`: the handle of the
    session that asked to be linked; None: somebody signs in.
    """

    nonce: str
    verifier: str
    links_session: str | None = None


class VisitBegun(msgspec.Struct, frozen=True):
    """`token` is for the browser's cookie, `state` for the provider."""

    token: str
    state: str


_decoder: Final = msgspec.json.Decoder(Visit)


def new_visit(links_session: str | None = None) -> Visit:
    return Visit(secrets.token_urlsafe(32), secrets.token_urlsafe(48), links_session)


class Visits:
    """Every method raises `UnavailableError` when Redis does not answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._take = redis.register_script(_TAKE)

    async def begin(self, visit: Visit) -> VisitBegun:
        begun = VisitBegun(secrets.token_urlsafe(32), secrets.token_urlsafe(32))
        try:
            await self._redis.set(_key(begun.token, begun.state), msgspec.json.encode(visit), ex=LIFETIME_S)
        except REDIS_ERRORS as error:
            raise _unavailable(error) from error
        return begun

    async def take(self, token: str | None, state: str | None) -> Visit | None:
        """Once: of several at the same time, one gets it. None: there is none, or it is too old."""
        if token is None or state is None or not _TOKEN.fullmatch(token) or not _TOKEN.fullmatch(state):
            return None
        try:
            data = await self._take(keys=[_key(token, state)])
        except REDIS_ERRORS as error:
            raise _unavailable(error) from error
        return _decoder.decode(data) if data else None


def _key(token: str, state: str) -> str:
    return KEY_PREFIX + hashlib.sha256(f"{token}.{state}".encode()).hexdigest()


def _unavailable(error: Exception) -> UnavailableError:
    _log.warning("provider_visits.redis_unavailable", error=type(error).__name__)
    return UnavailableError("Nobody can be signed in at the moment.")
