"""Challenges in Redis: each is good once, for five minutes, and for the browser that asked for it."""

import hashlib
import secrets
from typing import Final, Literal

import msgspec
import structlog
from redis.asyncio import Redis

from broadsheet_common.http.problems import UnavailableError
from broadsheet_gateway.limits.redis_client import REDIS_ERRORS
from broadsheet_gateway.passkeys.ceremony import CHALLENGE_BYTES, TIMEOUT_MS

KEY_PREFIX: Final = "broadsheet:passkey-challenge:"
LIFETIME_S: Final = TIMEOUT_MS // 1000

Purpose = Literal["register", "sign-in", "confirm"]

# KEYS: the challenge. Of several that take it, one gets it.
_TAKE: Final = """
local kept = redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
return kept
"""

_log = structlog.get_logger()


class Challenge(msgspec.Struct, frozen=True):
    """`user_handle`: of the user who registers; empty else."""

    challenge: bytes
    user_handle: bytes = b""


_decoder: Final = msgspec.json.Decoder(Challenge)


class Challenges:
    """`browser` is a secret of the browser's own: the session's id, or a cookie. Every method raises `UnavailableError`
    when Redis does not answer.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._take = redis.register_script(_TAKE)

    async def make(self, purpose: Purpose, browser: str, *, user_handle: bytes = b"") -> Challenge:
        """A later one takes the place of an earlier one."""
        made = Challenge(secrets.token_bytes(CHALLENGE_BYTES), user_handle)
        try:
            await self._redis.set(_key(purpose, browser), msgspec.json.encode(made), ex=LIFETIME_S)
        except REDIS_ERRORS as error:
            raise _unavailable(error) from error
        return made

    async def take(self, purpose: Purpose, browser: str) -> Challenge | None:
        """None if there is none: it was used, or is too old."""
        try:
            kept = await self._take(keys=[_key(purpose, browser)])
        except REDIS_ERRORS as error:
            raise _unavailable(error) from error
        return _decoder.decode(kept) if kept else None


def _key(purpose: Purpose, browser: str) -> str:
    return f"{KEY_PREFIX}{purpose}:{hashlib.sha256(browser.encode()).hexdigest()}"


def _unavailable(error: Exception) -> UnavailableError:
    _log.warning("passkey_challenges.redis_unavailable", error=type(error).__name__)
    return UnavailableError("Passkeys can't be used at the moment.")
