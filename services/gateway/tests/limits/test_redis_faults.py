"""Redis stopped, hung, emptied and back: what goes on, what waits, and for how long."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from broadsheet_common.process.settings import RedisUrl, Secret
from broadsheet_local.embedded.redis import EmbeddedRedis
from harness.waiting import eventually

from ..conftest import Gateway, MakeGateway, log_in

SIGN_UP = {"name": "Reader", "email": "reader@example.com"}
REDIS_TIMEOUT_S = 1.0


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A Redis of the test's own, on a port that stays the same when it is started again."""
    running = EmbeddedRedis(tmp_path)
    running.start()
    yield running
    running.stop()


@pytest.fixture
async def gateway(make_gateway: MakeGateway, own_redis: EmbeddedRedis) -> Gateway:
    return await make_gateway(
        redis_url=RedisUrl.parse(own_redis.url),
        redis_timeout_s=REDIS_TIMEOUT_S,
        signup_limit_per_ip="3/3600",
        api_limit_per_caller="1000/60",
    )


def lose_everything(data_dir: Path) -> None:
    for pattern in ("*.aof*", "*.rdb"):
        for file in data_dir.rglob(pattern):
            file.unlink()


async def sign_ups(client: httpx.AsyncClient, count: int) -> list[int]:
    return [(await client.post("/subscriptions", data=SIGN_UP)).status_code for _ in range(count)]


async def test_redis_dies_and_comes_back_empty(gateway: Gateway, own_redis: EmbeddedRedis, tmp_path: Path) -> None:
    author = await gateway.signed_in()
    visitor = await gateway.client()
    api = await gateway.api_client("read")
    assert await sign_ups(visitor, 1) == [200]

    own_redis.stop()
    readiness = await visitor.get("/health/ready")
    assert (readiness.status_code, readiness.json()["status"], readiness.json()["degraded"]) == (
        200,
        "degraded",
        ["redis"],
    )
    assert (await author.get("/admin/dashboard")).status_code == 503
    assert (await log_in(visitor)).status_code == 503
    assert (await api.get("/api/v1/issues")).status_code == 200
    # The cap of the process starts anew: never open, and never shut for good.
    assert await sign_ups(visitor, 4) == [200, 200, 200, 429]

    lose_everything(tmp_path)
    own_redis.start()
    assert (await visitor.get("/health/ready")).json()["status"] == "ready"
    assert (await author.get("/admin/dashboard")).headers["location"] == "/login"
    await gateway.signed_in()


async def test_a_redis_that_hangs_holds_no_request_up_for_long(gateway: Gateway, own_redis: EmbeddedRedis) -> None:
    author = await gateway.signed_in()
    visitor = await gateway.client()
    api = await gateway.api_client("read")
    pid = own_redis.child.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        assert (await api.get("/api/v1/issues")).status_code == 200
        assert await sign_ups(visitor, 1) == [200]
        assert (await visitor.get("/")).status_code == 200
        assert (await author.get("/admin/dashboard")).status_code == 503
        assert time.monotonic() - started < 10
    finally:
        os.kill(pid, signal.SIGCONT)

    async def goes_on() -> bool:
        return (await author.get("/admin/dashboard")).status_code == 200

    # It has first to answer what came while it stood still.
    await eventually(goes_on, what="the author's page is there again")


async def test_without_redis_people_can_leave_and_postmark_is_heard(
    make_gateway: MakeGateway, own_redis: EmbeddedRedis
) -> None:
    """What a load balancer takes for ready does its main work: no request of these needs Redis."""
    gateway = await make_gateway(
        redis_url=RedisUrl.parse(own_redis.url),
        redis_timeout_s=REDIS_TIMEOUT_S,
        postmark_webhook_user="postmark",
        postmark_webhook_password=Secret("a webhook password"),
    )
    visitor = await gateway.client()
    own_redis.stop()
    assert (await visitor.get("/health/ready")).status_code == 200
    left = await visitor.post("/unsubscribe/k1.abc-DEF", data={"List-Unsubscribe": "One-Click"})
    assert left.status_code == 200
    heard = await visitor.post(
        "/webhooks/postmark", json={"RecordType": "Open"}, auth=("postmark", "a webhook password")
    )
    assert heard.status_code == 200
