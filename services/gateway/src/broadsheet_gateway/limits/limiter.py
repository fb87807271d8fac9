"""Rate limits, counted in Redis and shared by all gateway processes, or in this process while Redis does not answer.

All limits of one call are judged together: a request that one of them refuses is not charged to the others.

One script does all of a request's limits, and those of every request that arrives while a script runs: a call to Redis
costs this process more than all that the script does.
"""

import time
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

import msgspec
import structlog
from redis.asyncio import Redis

from broadsheet_common.background.shared_calls import SharedCalls
from broadsheet_common.http.problems import TooManyRequestsError
from broadsheet_gateway.limits.rate_limit import RateLimit, Verdict, judge
from broadsheet_gateway.limits.redis_client import REDIS_ERRORS

KEY_PREFIX = "broadsheet:limit:"
LOCAL_KEYS_MAX = 20_000
PURGE_EVERY_US = 1_000_000
RETRY_REDIS_AFTER_S = 1.0

CALLS_MAX = 2
"""Scripts under way: one, unless it takes longer than `LATE_S`. What arrives meanwhile goes into the next one."""
LATE_S = 0.05
CHARGES_A_CALL_MAX = 400

# KEYS: one a limit. ARGV, for each stage: its number of limits, whether it follows the stage before, and interval_us
# and window_us of each limit. The limits of a stage are charged if all of them allow it and, if it follows, the stage
# before was charged. Answers, for each limit, how long until its quota is full (µs), as it was before this request.
# Redis's own clock counts, so that all processes agree.
_SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full_in, allowed, first, place = {}, true, 1, 1
while place <= #ARGV do
  local size = tonumber(ARGV[place])
  allowed = allowed or ARGV[place + 1] == '0'
  place = place + 2
  for i = 0, size - 1 do
    local kept = tonumber(redis.call('GET', KEYS[first + i]) or '0')
    local full = math.max(kept - now, 0)
    full_in[first + i] = full
    if full + ARGV[place + 2 * i] > tonumber(ARGV[place + 2 * i + 1]) then allowed = false end
  end
  if allowed then
    for i = 0, size - 1 do
      local after = full_in[first + i] + ARGV[place + 2 * i]
      redis.call('SET', KEYS[first + i], string.format('%.0f', now + after), 'PX', math.ceil(after / 1000))
    end
  end
  first, place = first + size, place + 2 * size
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


Stages = Sequence[Sequence[Charge]]
"""What one request is charged. Each stage is judged as a whole, and charged only if the one before was."""


class Limiter:
    """`redis` None keeps every limit in the process."""

    def __init__(self, redis: Redis | None, *, now_us: Callable[[], int] | None = None) -> None:
        self._redis = redis
        self._script = redis.register_script(_SCRIPT) if redis is not None else None
        self._now_us = now_us or (lambda: time.monotonic_ns() // 1000)
        self._local_full_at_us: dict[str, int] = {}
        self._purge_again_at_us = 0
        self._redis_again_at_us = 0
        self._calls: SharedCalls[Stages, list[list[int]] | None] = SharedCalls(
            self._charge_together,
            calls_max=CALLS_MAX,
            late_s=LATE_S,
            size_max=CHARGES_A_CALL_MAX,
            size_of=lambda stages: sum(map(len, stages)),
        )

    async def charge(self, charges: Sequence[Charge]) -> list[Verdict]:
        """One verdict a charge, in order. The request may pass when all are allowed, and has then been counted."""
        [verdicts] = await self._judge([charges])
        return verdicts

    async def require(self, charges: Sequence[Charge]) -> list[Verdict]:
        """Raises `TooManyRequestsError`, with the headers of the limit that opens last, unless all allow it."""
        verdicts, _ = await self.require_then(charges, ())
        return verdicts

    async def require_then(
        self, charges: Sequence[Charge], then: Sequence[Charge]
    ) -> tuple[list[Verdict], list[Verdict]]:
        """As `require`, and then `charge` of what is counted only for a request that passes the first."""
        required, counted = await self._judge([charges, then])
        refusals = [verdict for verdict in required if not verdict.is_allowed]
        if refusals:
            worst = max(refusals, key=lambda verdict: verdict.retry_after_us)
            raise TooManyRequestsError(headers=worst.headers)
        return required, counted

    async def _judge(self, stages: Stages) -> list[list[Verdict]]:
        full_in_us = await self._charge_redis(stages)
        if full_in_us is None:
            full_in_us = self._charge_local(stages)
        return [
            [judge(c.name, c.limit, f) for c, f in zip(stage, full_in, strict=True)]
            for stage, full_in in zip(stages, full_in_us, strict=True)
        ]

    async def clear(self, charge: Charge) -> None:
        """Reset the quota (after a successful login)."""
        self._local_full_at_us.pop(charge.key, None)
        if self._redis is not None and self._is_redis_due():
            try:
                await self._redis.delete(charge.key)
            except REDIS_ERRORS as error:
                self._leave_redis(error)

    async def _charge_redis(self, stages: Stages) -> list[list[int]] | None:
        """None: count in the process. No wait is longer than two calls may take."""
        if self._script is None or not self._is_redis_due():
            return None
        return await self._calls.ask(stages)

    async def _charge_together(self, batch: Sequence[Stages]) -> list[list[list[int]] | None]:
        answer = await self._run_script(batch)
        if answer is None:
            return [None] * len(batch)
        place = 0
        answers: list[list[list[int]] | None] = []
        for stages in batch:
            ends = list(accumulate(map(len, stages), initial=place))
            place = ends[-1]
            answers.append([answer[i:j] for i, j in pairwise(ends)])
        return answers

    async def _run_script(self, batch: Sequence[Stages]) -> list[int] | None:
        if self._script is None or not self._is_redis_due():
            return None
        keys: list[str] = []
        arguments: list[int] = []
        for stages in batch:
            for place, stage in enumerate(stages):
                arguments += (len(stage), int(place > 0))
                for charge in stage:
                    keys.append(charge.key)
                    arguments += (charge.limit.interval_us, charge.limit.window_us)
        try:
            answer: list[int] = await self._script(keys=keys, args=arguments)
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

    def _charge_local(self, stages: Stages) -> list[list[int]]:
        now_us = self._now_us()
        is_charged = True
        answer: list[list[int]] = []
        for charges in stages:
            full_in_us = [max(0, self._local_full_at_us.get(c.key, now_us) - now_us) for c in charges]
            answer.append(full_in_us)
            is_charged = is_charged and all(
                judge(c.name, c.limit, f).is_allowed for c, f in zip(charges, full_in_us, strict=True)
            )
            if is_charged:
                for charge, full_in in zip(charges, full_in_us, strict=True):
                    self._make_room(now_us)
                    self._local_full_at_us[charge.key] = now_us + full_in + charge.limit.interval_us
        return answer

    def _make_room(self, now_us: int) -> None:
        if len(self._local_full_at_us) < LOCAL_KEYS_MAX:
            return
        if now_us >= self._purge_again_at_us:
            self._purge_again_at_us = now_us + PURGE_EVERY_US
            self._local_full_at_us = {k: v for k, v in self._local_full_at_us.items() if v > now_us}
        while len(self._local_full_at_us) >= LOCAL_KEYS_MAX:
            # The oldest entry is dropped: filling the table gains at most a quota that was used long before.
            del self._local_full_at_us[next(iter(self._local_full_at_us))]
