"""Sessions in Redis.

A session id is 32 random bytes; Redis stores only its SHA-256 hash, so that whoever reads Redis cannot take over
a session. A session ends after `idle_s` without a request or `lifetime_s` after login, whichever is first, by
Redis's clock. A set per user holds the user's sessions, so that all can be ended at once. If Redis loses its
data, all sessions end.

The record holds the time of the password change that was current at login; `current_session` compares it with the
database, so that no session survives a password change even if Redis could not be told.
"""

import hashlib
import re
import secrets

import msgspec
import structlog
from redis.asyncio import Redis

from broadsheet_common.http.problems import UnavailableError
from broadsheet_gateway.limits.redis_client import REDIS_ERRORS

KEY_PREFIX = "broadsheet:session:"
USER_KEY_PREFIX = "broadsheet:user-sessions:"

_ID = re.compile(r"[A-Za-z0-9_-]{43}")

# KEYS: session. ARGV: idle_s. Answers the record, and puts the end of its idle time off, never past its last second.
_TOUCH = """
local record = redis.call('HMGET', KEYS[1], 'data', 'ends_at')
if not record[1] then return false end
local left = tonumber(record[2]) - tonumber(redis.call('TIME')[1])
if left <= 0 then redis.call('DEL', KEYS[1]) return false end
redis.call('EXPIRE', KEYS[1], math.min(left, tonumber(ARGV[1])))
return record[1]
"""

# KEYS: session, the user's set. ARGV: data, idle_s, lifetime_s. Sessions that are gone leave the set here, so that
# it can't grow with every login.
_START = """
local now = tonumber(redis.call('TIME')[1])
for _, key in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  if redis.call('EXISTS', key) == 0 then redis.call('SREM', KEYS[2], key) end
end
redis.call('HSET', KEYS[1], 'data', ARGV[1], 'ends_at', now + ARGV[3])
redis.call('EXPIRE', KEYS[1], math.min(tonumber(ARGV[2]), tonumber(ARGV[3])))
redis.call('SADD', KEYS[2], KEYS[1])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
"""

_END_ALL = """
local keys = redis.call('SMEMBERS', KEYS[1])
for _, key in ipairs(keys) do redis.call('DEL', key) end
redis.call('DEL', KEYS[1])
return #keys
"""

_log = structlog.get_logger()


class SessionData(msgspec.Struct, frozen=True):
    """What Redis keeps. `password_changed_at_us`: microseconds since 1970, as the database had it at login."""

    user_id: int
    password_changed_at_us: int


_decoder = msgspec.json.Decoder(SessionData)


class Sessions:
    """Every method raises `UnavailableError` when Redis does not answer."""

    def __init__(self, redis: Redis, *, lifetime_s: int, idle_s: int) -> None:
        self._redis = redis
        self.lifetime_s = lifetime_s
        self._idle_s = idle_s
        self._touch = redis.register_script(_TOUCH)
        self._start = redis.register_script(_START)
        self._end_all = redis.register_script(_END_ALL)

    async def start(self, data: SessionData) -> str:
        """Creates a session. Returns its id, for the cookie."""
        session_id = secrets.token_urlsafe(32)
        try:
            await self._start(
                keys=[_key(session_id), f"{USER_KEY_PREFIX}{data.user_id}"],
                args=[msgspec.json.encode(data), self._idle_s, self.lifetime_s],
            )
        except REDIS_ERRORS as error:
            raise _unavailable(error) from error
        return session_id

    async def find(self, session_id: str) -> SessionData | None:
        """The session's data; its idle time starts again. None if there is no such session."""
        if not _ID.fullmatch(session_id):
            return None
        try:
            data = await self._touch(keys=[_key(session_id)], args=[self._idle_s])
        except REDIS_ERRORS as error:
            raise _unavailable(error) from error
        return _decoder.decode(data) if data else None

    async def end(self, session_id: str) -> None:
        if not _ID.fullmatch(session_id):
            return
        try:
            await self._redis.delete(_key(session_id))
        except REDIS_ERRORS as error:
            raise _unavailable(error) from error

    async def end_all(self, user_id: int) -> int:
        """End every session of the user. Returns how many there were."""
        try:
            ended: int = await self._end_all(keys=[f"{USER_KEY_PREFIX}{user_id}"])
        except REDIS_ERRORS as error:
            raise _unavailable(error) from error
        return ended


def _key(session_id: str) -> str:
    return KEY_PREFIX + hashlib.sha256(session_id.encode()).hexdigest()


def _unavailable(error: Exception) -> UnavailableError:
    _log.warning("sessions.redis_unavailable", error=type(error).__name__)
    return UnavailableError("Sessions can't be looked up at the moment.")
