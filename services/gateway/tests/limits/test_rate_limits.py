"""Rate limits: the arithmetic, the shared count in Redis, and the local cap while Redis is away."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from broadsheet_common.http.problems import TooManyRequestsError
from broadsheet_gateway.limits.limiter import LOCAL_KEYS_MAX, Charge, Limiter
from broadsheet_gateway.limits.rate_limit import RateLimit, judge
from broadsheet_gateway.limits.redis_client import create_redis


class Clock:
    def __init__(self) -> None:
        self.now_us = 1_000_000_000

    def __call__(self) -> int:
        return self.now_us


limits = st.builds(RateLimit, st.integers(1, 10_000), st.integers(1, 100_000))


@given(limits)
def test_a_full_quota_lets_exactly_its_count_through_at_once(limit: RateLimit) -> None:
    full_in_us, allowed = 0, 0
    for _ in range(limit.count + 1):
        verdict = judge("x", limit, full_in_us)
        if verdict.is_allowed:
            allowed += 1
            full_in_us = verdict.reset_us
    # Rounding the interval down may let one more through, never one less.
    assert limit.count <= allowed <= limit.count + 1


@given(limits, st.integers(0, 10**12))
def test_a_refused_request_passes_after_the_wait_that_it_was_told(limit: RateLimit, beyond_us: int) -> None:
    # Nothing is left of a quota that takes a whole window to be full again.
    full_in_us = limit.window_us + beyond_us
    verdict = judge("x", limit, full_in_us)
    assert not verdict.is_allowed
    assert judge("x", limit, full_in_us - verdict.retry_after_us).is_allowed
    assert not judge("x", limit, full_in_us - verdict.retry_after_us + 1).is_allowed


def test_headers_name_the_policy_what_is_left_and_when_to_come_back() -> None:
    limit = RateLimit(2, 60)
    assert judge("api", limit, 0).headers == {"RateLimit-Policy": '"api";q=2;w=60', "RateLimit": '"api";r=1;t=30'}
    refused = judge("api", limit, 60_000_000)
    assert refused.headers["Retry-After"] == "30"
    assert refused.headers["RateLimit"] == '"api";r=0;t=60'


@pytest.mark.parametrize("text", ["", "5", "0/60", "5/0", "-1/60", "5/60/7", "many/60", "5 / 60"])
def test_a_malformed_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected <count>/<seconds>"):
        RateLimit.parse(text)


async def test_two_processes_share_one_quota_in_redis(limited_redis: Redis) -> None:
    charge = Charge("login-user", "author", RateLimit(5, 3600))
    processes = [Limiter(limited_redis), Limiter(limited_redis)]
    verdicts = await asyncio.gather(*(processes[n % 2].charge([charge]) for n in range(20)))
    assert sum(verdict.is_allowed for (verdict,) in verdicts) == 5


async def test_a_request_that_one_limit_refuses_costs_nothing_on_the_others(limited_redis: Redis) -> None:
    limiter = Limiter(limited_redis)
    narrow, wide = Charge("a", "x", RateLimit(1, 3600)), Charge("b", "x", RateLimit(10, 3600))
    await limiter.require([narrow, wide])
    for _ in range(5):
        with pytest.raises(TooManyRequestsError) as refusal:
            await limiter.require([narrow, wide])
        assert refusal.value.headers["RateLimit-Policy"] == '"a";q=1;w=3600'
    (verdict,) = await limiter.charge([wide])
    assert verdict.remaining == 8


async def test_a_cleared_quota_is_full_again(limited_redis: Redis) -> None:
    limiter = Limiter(limited_redis)
    charge = Charge("login-user", "author", RateLimit(1, 3600))
    await limiter.require([charge])
    await limiter.clear(charge)
    await limiter.require([charge])


async def test_kept_instants_expire_with_the_quota(redis: Redis, limited_redis: Redis) -> None:
    await Limiter(limited_redis).require([Charge("a", "x", RateLimit(10, 100))])
    (key,) = [key async for key in redis.scan_iter("broadsheet:limit:*")]
    assert 9_000 < await redis.pttl(key) <= 10_000


async def test_without_redis_a_cap_in_the_process_takes_over_and_ends_when_redis_is_back(limited_redis: Redis) -> None:
    clock = Clock()
    away = create_redis("redis://127.0.0.1:1/0", timeout_s=0.2, connections_max=2)
    limiter = Limiter(away, now_us=clock)
    charge = Charge("a", "x", RateLimit(2, 100))
    allowed = [verdict.is_allowed for _ in range(4) for verdict in await limiter.charge([charge])]
    assert allowed == [True, True, False, False]
    clock.now_us += 50_000_000
    assert (await limiter.charge([charge]))[0].is_allowed
    await away.aclose()

    limiter._redis, limiter._script = (
        limited_redis,
        Limiter(limited_redis)._script,
    )  # Redis answers again, knowing nothing
    clock.now_us += 2_000_000
    assert [v.is_allowed for _ in range(3) for v in await limiter.charge([charge])] == [True, True, False]


async def test_a_redis_that_is_away_is_not_asked_by_every_request() -> None:
    clock = Clock()
    asked = 0

    async def refuse(**_: object) -> list[int]:
        nonlocal asked
        asked += 1
        raise ConnectionRefusedError

    limiter = Limiter(None, now_us=clock)
    limiter._script = refuse  # type: ignore[assignment]
    charge = Charge("a", "x", RateLimit(100, 100))
    for _ in range(10):
        await limiter.charge([charge])
    assert asked == 1
    clock.now_us += 1_000_001
    await limiter.charge([charge])
    assert asked == 2


async def test_the_local_table_is_bounded() -> None:
    limiter = Limiter(None)
    for n in range(LOCAL_KEYS_MAX + 100):
        await limiter.charge([Charge("a", str(n), RateLimit(1, 3600))])
    assert len(limiter._local_full_at_us) <= LOCAL_KEYS_MAX
