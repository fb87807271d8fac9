"""Rate limits, counted in Redis and shared by all gateway processes, or in this process while Redis does not answer.

All limits of one call are judged together: a request that one of them refuses is not charged to the others.
"""

import time
from collections.abc import Callable, Sequence

import msgspec
import structlog
from redis.asyncio import Redis

from broadsheet_common.http.problems import TooManyRequestsError
from broadsheet_gateway.limits.rate_limit import RateLimit, Verdict, judge
from broadsheet_gateway.limits.redis_client import REDIS_ERRORS

KEY_PREFIX = "broadsheet:limit:"
LOCAL_KEYS_MAX = 20_000
PURGE_EVERY_US = 1_000_000
RETRY_REDIS_AFTER_S = 1.0

# KEYS: one a limit. ARGV: interval_us, window_us of each. Answers, for each, how long until its quota is full (µs),
# as it was before this request. Redis's own clock counts, so that all processes agree.
_SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full_in, allowed = {}, true
for i, key in ipairs(KEYS) do
  local kept = tonumber(redis.call('GET', key) or '0')
  full_in[i] = math.max(kept - now, 0)
  if full_in[i] + ARGV[2 * i - 1] > tonumber(ARGV[2 * i]) then allowed = false end
end
if allowed then
  for i, key in ipairs(KEYS) do
    local after = full_in[i] + ARGV[2 * i - 1]
    redis.call('SET', key, string.format('%.0f', now + after), 'PX', math.ceil(after / 1000))
  end
end
return full_in
"""

_log = structlog.get_logger()


class Charge(msgspec.Struct, frozen=True):
    """One limit to charge: `name` is shown in headers, `subject` is who is charged (an address, a user, a key)."""

    name: str
    subject: str
    limit: RateLimit

    @property
    def key(self) -> str:
        return f"{KEY_PREFIX}{self.name}:{self.subject}"


class Limiter:
    """`redis` None keeps every limit in the process."""

    def __init__(self, redis: Redis | None, *, now_us: Callable[[], int] | None = None) -> None:
        self._redis = redis
        self._script = redis.register_script(_SCRIPT) if redis is not None else None
        self._now_us = now_us or (lambda: time.monotonic_ns() // 1000)
        self._local_full_at_us: dict[str, int] = {}
        self._purge_again_at_us = 0
        self._redis_again_at_us = 0

    async def charge(self, charges: Sequence[Charge]) -> list[Verdict]:
        """One verdict a charge, in order. The request may pass when all are allowed, and has then been counted."""
        full_in_us = await self._charge_redis(charges)
        if full_in_us is None:
            full_in_us = self._charge_local(charges)
        return [judge(c.name, c.limit, f) for c, f in zip(charges, full_in_us, strict=True)]

    async def require(self, charges: Sequence[Charge]) -> list[Verdict]:
        """Raises `TooManyRequestsError`, with the headers of the limit that opens last, unless all allow it."""
        verdicts = await self.charge(charges)
        refusals = [verdict for verdict in verdicts if not verdict.is_allowed]
        if refusals:
            worst = max(refusals, key=lambda verdict: verdict.retry_after_us)
            raise TooManyRequestsError(headers=worst.headers)
        return verdicts

    async def clear(self, charge: Charge) -> None:
        """Reset the quota (after a successful login)."""
        self._local_full_at_us.pop(charge.key, None)
        if self._redis is not None and self._is_redis_due():
            try:
                await self._redis.delete(charge.key)
            except REDIS_ERRORS as error:
                self._leave_redis(error)

    async def _charge_redis(self, charges: Sequence[Charge]) -> list[int] | None:
        if self._script is None or not self._is_redis_due():
            return None
        arguments = [n for c in charges for n in (c.limit.interval_us, c.limit.window_us)]
        try:
            answer: list[int] = await self._script(keys=[c.key for c in charges], args=arguments)
        except REDIS_ERRORS as error:
            self._leave_redis(error)
            return None
        return answer

    def _is_redis_due(self) -> bool:
        return self._now_us() >= self._redis_again_at_us

    def _leave_redis(self, error: Exception) -> None:
        """For a while no request waits for a Redis that does not answer."""
        self._redis_again_at_us = self._now_us() + int(RETRY_REDIS_AFTER_S * 1_000_000)
        _log.warning("limiter.redis_unavailable", error=type(error).__name__)

    def _charge_local(self, charges: Sequence[Charge]) -> list[int]:
        now_us = self._now_us()
        full_in_us = [max(0, self._local_full_at_us.get(c.key, now_us) - now_us) for c in charges]
        if all(judge(c.name, c.limit, f).is_allowed for c, f in zip(charges, full_in_us, strict=True)):
            for charge, full_in in zip(charges, full_in_us, strict=True):
                self._make_room(now_us)
                self._local_full_at_us[charge.key] = now_us + full_in + charge.limit.interval_us
        return full_in_us

    def _make_room(self, now_us: int) -> None:
        if len(self._local_full_at_us) < LOCAL_KEYS_MAX:
            return
        if now_us >= self._purge_again_at_us:
            self._purge_again_at_us = now_us + PURGE_EVERY_US
            self._local_full_at_us = {k: v for k, v in self._local_full_at_us.items() if v > now_us}
        while len(self._local_full_at_us) >= LOCAL_KEYS_MAX:
            # The oldest entry is dropped: filling the table gains at most a quota that was used long before.
            del self._local_full_at_us[next(iter(self._local_full_at_us))]
