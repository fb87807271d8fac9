"""Rate limits: the arithmetic, the shared count in Redis, and the local cap while Redis is away."""

import asyncio
from typing import Any

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


@pytest.fixture(params=["redis", "process"])
def limiter_anywhere(request: pytest.FixtureRequest, limited_redis: Redis) -> Limiter:
    """Counting in Redis, and in the process."""
    return Limiter(limited_redis if request.param == "redis" else None)


async def test_what_follows_is_charged_only_if_the_first_limits_allow_it(limiter_anywhere: Limiter) -> None:
    first, then = Charge("a", "x", RateLimit(2, 3600)), Charge("b", "x", RateLimit(5, 3600))
    for _ in range(2):
        await limiter_anywhere.require_then([first], [then])
    for _ in range(3):
        with pytest.raises(TooManyRequestsError) as refusal:
            await limiter_anywhere.require_then([first], [then])
        assert refusal.value.headers["RateLimit-Policy"] == '"a";q=2;w=3600'
    assert (await limiter_anywhere.charge([then]))[0].remaining == 2


async def test_the_first_limits_are_charged_even_if_what_follows_refuses(limiter_anywhere: Limiter) -> None:
    first, then = Charge("a", "x", RateLimit(5, 3600)), Charge("b", "x", RateLimit(1, 3600))
    allowed = []
    for _ in range(3):
        _, [verdict] = await limiter_anywhere.require_then([first], [then])
        allowed.append(verdict.is_allowed)
    assert allowed == [True, False, False]
    assert (await limiter_anywhere.charge([first]))[0].remaining == 1


async def test_nothing_may_follow(limiter_anywhere: Limiter) -> None:
    [verdict], then = await limiter_anywhere.require_then([Charge("a", "x", RateLimit(5, 3600))], [])
    assert (verdict.remaining, then) == (4, [])


async def test_requests_at_once_share_scripts_and_each_gets_its_own_verdict(
    limited_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = Limiter(limited_redis)
    scripts = 0
    run = limiter._run_script

    async def counted(batch: Any) -> Any:
        nonlocal scripts
        scripts += 1
        return await run(batch)

    monkeypatch.setattr(limiter, "_run_script", counted)
    shared = Charge("all", "all", RateLimit(30, 3600))
    own = [Charge("one", str(number), RateLimit(1, 3600)) for number in range(20)]
    both = asyncio.gather(*(limiter.require_then([shared, charge], [shared]) for charge in own[:10]))
    alone = asyncio.gather(*(limiter.charge([charge]) for charge in own))
    assert all(verdict.is_allowed for first, then in await both for verdict in [*first, *then])
    assert [verdict.is_allowed for [verdict] in await alone] == [False] * 10 + [True] * 10
    assert scripts < 10
    assert (await limiter.charge([shared]))[0].remaining == 9


async def test_when_redis_fails_everybody_who_waits_is_counted_in_the_process() -> None:
    class Refusing:
        async def __call__(self, **_: object) -> list[int]:
            await asyncio.sleep(0)
            raise ConnectionRefusedError

    limiter = Limiter(None)
    limiter._script = Refusing()  # type: ignore[assignment]
    verdicts = await asyncio.gather(*(limiter.charge([Charge("a", "x", RateLimit(5, 3600))]) for _ in range(20)))
    assert sum(verdict.is_allowed for [verdict] in verdicts) == 5


async def test_the_local_table_is_bounded() -> None:
    limiter = Limiter(None)
    for n in range(LOCAL_KEYS_MAX + 100):
        await limiter.charge([Charge("a", str(n), RateLimit(1, 3600))])
    assert len(limiter._local_full_at_us) <= LOCAL_KEYS_MAX
