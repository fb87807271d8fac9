"""Sessions in Redis.

A session id is 32 random bytes; Redis stores only its SHA-256 hash, so that whoever reads Redis cannot take over
a session. A session ends after `idle_s` without a request or `lifetime_s` after login, whichever is first, by
Redis's clock. A set per user holds the user's sessions, so that all can be ended at once. If Redis loses its
data, all sessions end.

The record holds when the session began and the time of the password change that was current then; `current_session`
compares both with the database, so that no session survives a password change or an order to end it even if Redis could
not be told.
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
SESSIONS_OF_USER_MAX = 50
"""With one more, the user's session that would end first ends at once."""

_ID = re.compile(r"[A-Za-z0-9_-]{43}")

_HANDLE = re.compile(r"[0-9a-f]{64}")

# KEYS: session. ARGV: idle_s, 1 for a use. Answers the record; a use puts the end of its idle time off, never past its
# last second.
_TOUCH = """
local record = redis.call('HMGET', KEYS[1], 'data', 'ends_at')
if not record[1] then return false end
local now = tonumber(redis.call('TIME')[1])
local left = tonumber(record[2]) - now
if left <= 0 then redis.call('DEL', KEYS[1]) return false end
if ARGV[2] == '1' then
  redis.call('HSET', KEYS[1], 'used_at', now)
  redis.call('EXPIRE', KEYS[1], math.min(left, tonumber(ARGV[1])))
end
return record[1]
"""

# KEYS: session, the user's set. ARGV: data, idle_s, lifetime_s, sessions_max. Sessions that are gone leave the set
# here, so that it can't grow with every login.
_START = """
local now = tonumber(redis.call('TIME')[1])
local others, first, first_ends_at = 0, nil, nil
for _, key in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  local ends_at = tonumber(redis.call('HMGET', key, 'ends_at')[1] or '0')
  if ends_at == 0 then
    redis.call('SREM', KEYS[2], key)
  else
    others = others + 1
    if not first or ends_at < first_ends_at then first, first_ends_at = key, ends_at end
  end
end
if others >= tonumber(ARGV[4]) then redis.call('DEL', first) redis.call('SREM', KEYS[2], first) end
redis.call('HSET', KEYS[1], 'data', ARGV[1], 'ends_at', now + ARGV[3], 'used_at', now)
redis.call('EXPIRE', KEYS[1], math.min(tonumber(ARGV[2]), tonumber(ARGV[3])))
redis.call('SADD', KEYS[2], KEYS[1])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
"""

# KEYS: the user's set. Answers, for each session that has not ended: its key, its record, when it was last used.
_LIST = """
local found = {}
for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local record = redis.call('HMGET', key, 'data', 'used_at')
  if record[1] then found[#found + 1] = {key, record[1], record[2] or '0'} end
end
return found
"""

# KEYS: session, the user's set.
_END_ONE = """
if redis.call('SREM', KEYS[2], KEYS[1]) == 0 then return 0 end
return redis.call('DEL', KEYS[1])
"""

_END_ALL = """
local keys = redis.call('SMEMBERS', KEYS[1])
for _, key in ipairs(keys) do redis.call('DEL', key) end
redis.call('DEL', KEYS[1])
return #keys
"""

_log = structlog.get_logger()


class SessionData(msgspec.Struct, frozen=True):
    """What Redis keeps. Times are microseconds since 1970 by the database's clock.

    `password_changed_at_us`: as the database had it at login. `source` and `browser` are what the user is shown of
    where the session began. `is_two_factor`: two factors were proved, which a user who has a second one needs.
    `is_vouched_for`: by the provider, which is trusted with it. What has a default is missing in sessions of versions
    before.
    """

    user_id: int
    password_changed_at_us: int
    started_at_us: int = 0
    authenticated_at_us: int = 0
    source: str = ""
    browser: str = ""
    is_two_factor: bool = False
    is_vouched_for: bool = False


class ListedSession(msgspec.Struct, frozen=True):
    """A session as its user may see it. `handle` names it and opens nothing; `used_at_s` is in seconds since 1970."""

    handle: str
    data: SessionData
    used_at_s: int


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
        self._list = redis.register_script(_LIST)
        self._end_one = redis.register_script(_END_ONE)

    async def start(self, data: SessionData) -> str:
        """Creates a session. Returns its id, for the cookie. Only `sign_in` calls this: see `Admission` there."""
        session_id = secrets.token_urlsafe(32)
        try:
            await self._start(
                keys=[_key(session_id), f"{USER_KEY_PREFIX}{data.user_id}"],
                args=[msgspec.json.encode(data), self._idle_s, self.lifetime_s, SESSIONS_OF_USER_MAX],
            )
        except REDIS_ERRORS as error:
            raise _unavailable(error) from error
        return session_id

    async def find(self, session_id: str, *, is_use: bool = True) -> SessionData | None:
        """The session's data; None if there is no such session. A use starts its idle time again; a look whether it is
        still there does not.
        """
        if not _ID.fullmatch(session_id):
            return None
        try:
            data = await self._touch(keys=[_key(session_id)], args=[self._idle_s, int(is_use)])
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

    async def list_of(self, user_id: int) -> list[ListedSession]:
        """The user's sessions, the one that was used last first."""
        try:
            found = await self._list(keys=[f"{USER_KEY_PREFIX}{user_id}"])
        except REDIS_ERRORS as error:
            raise _unavailable(error) from error
        listed = [
            ListedSession(key.decode().removeprefix(KEY_PREFIX), _decoder.decode(data), int(used_at))
            for key, data, used_at in found
        ]
        return sorted(listed, key=lambda session: (-session.used_at_s, session.handle))

    async def end_one(self, user_id: int, handle: str) -> bool:
        """End the user's session with that handle. False if the user has none such."""
        if not _HANDLE.fullmatch(handle):
            return False
        try:
            ended = await self._end_one(keys=[f"{KEY_PREFIX}{handle}", f"{USER_KEY_PREFIX}{user_id}"])
        except REDIS_ERRORS as error:
            raise _unavailable(error) from error
        return bool(ended)

    async def end_all(self, user_id: int) -> int:
        """End every session of the user. Returns how many there were."""
        try:
            ended: int = await self._end_all(keys=[f"{USER_KEY_PREFIX}{user_id}"])
        except REDIS_ERRORS as error:
            raise _unavailable(error) from error
        return ended

    async def end_all_if_reachable(self, user_id: int) -> None:
        """As `end_all`, for when the database has ended the sessions already: Redis away is only noted."""
        try:
            await self.end_all(user_id)
        except UnavailableError:
            _log.warning("sessions.not_removed", user_id=user_id)


def session_handle(session_id: str) -> str:
    """What names the session in lists."""
    return hashlib.sha256(session_id.encode()).hexdigest()


def _key(session_id: str) -> str:
    return KEY_PREFIX + session_handle(session_id)


def _unavailable(error: Exception) -> UnavailableError:
    _log.warning("sessions.redis_unavailable", error=type(error).__name__)
    return UnavailableError("Sessions can't be looked up at the moment.")
