"""Half sign-ins in Redis: somebody has proved one factor, and the second is asked next.

Each belongs to the browser that has its token as a cookie, and only the token's SHA-256 is kept. It lasts
`LIFETIME_S`, takes `TRIES_MAX` codes, and becomes a session once. It opens nothing but the page that asks.
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

KEY_PREFIX: Final = "broadsheet:half-sign-in:"
LIFETIME_S: Final = 600
TRIES_MAX: Final = 10

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")

# KEYS: the half sign-in. ARGV: data, lifetime_s.
_BEGIN: Final = """
redis.call('HSET', KEYS[1], 'data', ARGV[1], 'tries', 0)
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
"""

# KEYS: the half sign-in. ARGV: tries_max. Answers the data and counts a try; the try after the last ends it.
_TRY: Final = """
local record = redis.call('HMGET', KEYS[1], 'data', 'tries')
if not record[1] then return false end
local tries = tonumber(record[2])
if tries >= tonumber(ARGV[1]) then redis.call('DEL', KEYS[1]) return false end
redis.call('HSET', KEYS[1], 'tries', tries + 1)
return record[1]
"""

_log = structlog.get_logger()


class HalfSignIn(msgspec.Struct, frozen=True):
    """What is known of it. `method` is how the first factor was proved; `is_fresh`: just now. Times are
    microseconds since 1970 by the database's clock.
    """

    user_id: int
    method: str
    password_changed_at_us: int
    started_at_us: int
    is_fresh: bool = True


_decoder: Final = msgspec.json.Decoder(HalfSignIn)


class HalfSignIns:
    """Every method raises `UnavailableError` when Redis does not answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._begin = redis.register_script(_BEGIN)
        self._try = redis.register_script(_TRY)

    async def begin(self, half: HalfSignIn) -> str:
        """The token, for the browser's cookie."""
        token = secrets.token_urlsafe(32)
        try:
            await self._begin(keys=[_key(token)], args=[msgspec.json.encode(half), LIFETIME_S])
        except REDIS_ERRORS as error:
            raise _unavailable(error) from error
        return token

    async def exists(self, token: str | None) -> bool:
        if token is None or not _TOKEN.fullmatch(token):
            return False
        try:
            return bool(await self._redis.exists(_key(token)))
        except REDIS_ERRORS as error:
            raise _unavailable(error) from error

    async def try_code(self, token: str | None) -> HalfSignIn | None:
        """Counts a try. None: there is no such half sign-in, it is too old, or it had all its tries."""
        if token is None or not _TOKEN.fullmatch(token):
            return None
        try:
            data = await self._try(keys=[_key(token)], args=[TRIES_MAX])
        except REDIS_ERRORS as error:
            raise _unavailable(error) from error
        return _decoder.decode(data) if data else None

    async def finish(self, token: str) -> bool:
        """Of several that finish the same one, one gets True."""
        try:
            return bool(await self._redis.delete(_key(token)))
        except REDIS_ERRORS as error:
            raise _unavailable(error) from error


def _key(token: str) -> str:
    return KEY_PREFIX + hashlib.sha256(token.encode()).hexdigest()


def _unavailable(error: Exception) -> UnavailableError:
    _log.warning("half_sign_ins.redis_unavailable", error=type(error).__name__)
    return UnavailableError("Nobody can be signed in at the moment.")
