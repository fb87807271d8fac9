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
from broadsheet_gateway.api_keys.store import StoredApiKey, find_api_key, touch_api_key
from broadsheet_gateway.limits.limiter import Charge, Limiter
from broadsheet_gateway.settings import RateLimits

CACHE_ENTRIES_MAX = 4096

_log = structlog.get_logger()


class _Entry(msgspec.Struct):
    key: StoredApiKey | None
    forget_at_s: float
    expires_at_s: float | None
    is_touch_due: bool


class ApiKeyVerifier:
    def __init__(
        self,
        engine: AsyncEngine,
        *,
        limiter: Limiter,
        limits: RateLimits,
        cache_s: float,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._limiter = limiter
        self._limits = limits
        self._cache_s = cache_s
        self._monotonic_s = monotonic_s
        self._cache: dict[str, _Entry] = {}
        self._unknown: dict[str, _Entry] = {}
        self._loading: dict[str, asyncio.Task[_Entry]] = {}

    async def verify(self, text: str, *, source: str) -> Identity | None:
        """None if there is no such key, its secret differs, or it has expired or been revoked. `source` is charged
        for unknown keys.

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
        if not key.matches(stored.secret_sha256):
            _note_refusal("wrong_secret", stored.id)
            return None
        if stored.is_revoked:
            _note_refusal("revoked", stored.id)
            return None
        if entry.expires_at_s is not None and self._monotonic_s() >= entry.expires_at_s:
            _note_refusal("expired", stored.id)
            return None
        if entry.is_touch_due:
            entry.is_touch_due = False
            async with self._engine.begin() as connection:
                await touch_api_key(connection, stored.id)
        return Identity(subject=f"key:{stored.id}", scopes=stored.scopes)

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
            expires_at_s=None if stored is None or stored.expires_in_s is None else now_s + stored.expires_in_s,
            is_touch_due=stored is not None and stored.is_touch_due,
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


def _note_refusal(reason: str, key_id: int | None = None) -> None:
    _log.warning("security.api_key_refused", reason=reason, api_key_id=key_id)
