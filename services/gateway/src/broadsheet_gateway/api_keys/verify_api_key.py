"""From the text of an API key to its identity and scopes.

A found key is cached for a few seconds, so that a busy caller costs no database round trip a request; the secret
is compared each time. An unknown prefix is cached as well. Unknown keys are rate-limited by their source before
the database is asked: only a prefix that was found before is looked up freely.
"""

import asyncio
import time
from collections.abc import Callable

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import Identity
from broadsheet_gateway.api_keys.api_key import ApiKeyText
from broadsheet_gateway.api_keys.key_uses import KeyUses
from broadsheet_gateway.api_keys.store import StoredApiKey, find_api_key
from broadsheet_gateway.limits.limiter import Charge, Limiter
from broadsheet_gateway.settings import RateLimits

CACHE_ENTRIES_MAX = 4096

_log = structlog.get_logger()


class _Entry(msgspec.Struct):
    key: StoredApiKey | None
    forget_at_s: float
    expires_at_s: float | None
    previous_expires_at_s: float | None
    identity: Identity | None


class ApiKeyVerifier:
    def __init__(
        self,
        engine: AsyncEngine,
        *,
        limiter: Limiter,
        limits: RateLimits,
        uses: KeyUses,
        cache_s: float,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._limiter = limiter
        self._limits = limits
        self._uses = uses
        self._cache_s = cache_s
        self._monotonic_s = monotonic_s
        self._cache: dict[str, _Entry] = {}
        self._unknown: dict[str, _Entry] = {}
        self._loading: dict[str, asyncio.Task[_Entry]] = {}

    async def verify(self, text: str, *, source: str) -> Identity | None:
        """None if there is no such key, its secret differs, it has expired or been revoked, or its user is deactivated.
        `source` is charged for unknown keys, and counted as where the key was used from.

        Raises:
            TooManyRequestsError: too many unknown keys.
        """
        try:
            key = ApiKeyText.parse(text)
        except ValueError:
            _note_refusal("malformed")
            return None
        entry = self._cache.get(key.prefix) or self._unknown.get(key.prefix)
        if entry is None or self._monotonic_s() >= entry.forget_at_s:
            if entry is None or entry.key is None:
                await self._limit_unknown(source)
            entry = await self._load_once(key.prefix)
        stored = entry.key
        if stored is None:
            _note_refusal("unknown")
            return None
        if not key.matches(stored.secret_sha256) and not self._matches_previous(key, entry):
            _note_refusal("wrong_secret", stored.id)
            return None
        if stored.is_revoked:
            _note_refusal("revoked", stored.id)
            return None
        if entry.expires_at_s is not None and self._monotonic_s() >= entry.expires_at_s:
            _note_refusal("expired", stored.id)
            return None
        if stored.user_is_deactivated:
            _note_refusal("user_deactivated", stored.id)
            return None
        self._uses.note(stored.id, source)
        return entry.identity

    def _matches_previous(self, key: ApiKeyText, entry: _Entry) -> bool:
        """Whether it has the secret before the last rotation, within the overlap."""
        previous = entry.key.previous_sha256 if entry.key is not None else None
        return (
            previous is not None
            and key.matches(previous)
            and entry.previous_expires_at_s is not None
            and self._monotonic_s() < entry.previous_expires_at_s
        )

    async def _limit_unknown(self, source: str) -> None:
        await self._limiter.require(
            [
                Charge("unknown-key", source, self._limits.unknown_key_per_ip),
                Charge("unknown-key-all", "all", self._limits.unknown_key_overall),
            ]
        )

    async def _load_once(self, prefix: str) -> _Entry:
        """Requests that come while a key is being looked up wait for that look-up."""
        task = self._loading.get(prefix)
        if task is None:
            task = asyncio.create_task(self._load(prefix))
            self._loading[prefix] = task
            task.add_done_callback(lambda _: self._loading.pop(prefix, None))
        return await asyncio.shield(task)

    async def _load(self, prefix: str) -> _Entry:
        async with self._engine.connect() as connection:
            stored = await find_api_key(connection, prefix)
        now_s = self._monotonic_s()
        entry = _Entry(
            key=stored,
            forget_at_s=now_s + self._cache_s,
            expires_at_s=_later(now_s, None if stored is None else stored.expires_in_s),
            previous_expires_at_s=_later(now_s, None if stored is None else stored.previous_expires_in_s),
            identity=None if stored is None else _identity(stored),
        )
        self._remember(prefix, entry)
        return entry

    def _remember(self, prefix: str, entry: _Entry) -> None:
        """Unknown prefixes have a cache of their own, so that made-up keys push no real one out."""
        kept, other = (self._unknown, self._cache) if entry.key is None else (self._cache, self._unknown)
        other.pop(prefix, None)
        kept.pop(prefix, None)
        while len(kept) >= CACHE_ENTRIES_MAX:
            del kept[next(iter(kept))]
        kept[prefix] = entry


def _later(now_s: float, in_s: float | None) -> float | None:
    return None if in_s is None else now_s + in_s


def _identity(stored: StoredApiKey) -> Identity:
    rights = stored.rights
    return Identity(f"key:{stored.id}", rights.everywhere, rights.limited, user=f"user:{stored.user_id}")


def _note_refusal(reason: str, key_id: int | None = None) -> None:
    _log.warning("security.api_key_refused", reason=reason, api_key_id=key_id)
