"""Every background loop of every service outlives what nobody foresaw, and does its work then.

The loops are those that the apps' runners have, so that a new one is under test as soon as it is there.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
import pytest
import sqlalchemy as sa
from litestar import Litestar
from litestar.di import Provide
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from broadsheet_common.background import runner as background
from broadsheet_common.background.loop import Loop
from broadsheet_common.background.runner import BackgroundRunner
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.seeding import Seed
from harness.system import LINK, METRICS_TOKEN, System, in_this_process, running_system
from harness.waiting import eventually

RECOVERED_MAX_S = 90.0


class UnforeseenError(Exception):
    """A class that no code names."""


def faults() -> list[BaseException]:
    return [
        UnforeseenError("x"),
        KeyError("x"),
        RecursionError("x"),
        MemoryError(),
        ExceptionGroup("x", [UnforeseenError("x"), TypeError("x")]),
        asyncio.CancelledError(),
    ]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "BACK_OFF_MAX_S", 0.05)


@pytest.fixture
def running(
    database: Database, redis_url: str, sandbox: RunningSandbox, seed: Seed, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Any]:
    """Opens the whole system with all of its loops; each loop's first rounds raise the faults, one after another."""
    start = BackgroundRunner.start

    def start_with_faults(self: BackgroundRunner) -> None:
        for loop in self.loops:
            loop.run_round = _failing_first(loop, deque(faults()))
        start(self)
        # No loop waits for its first round.
        self.wake()

    @asynccontextmanager
    async def opened() -> AsyncIterator[System]:
        async with running_system(database, redis_url, sandbox, seed) as system, system.apps["delivery"].lifespan():
            yield system

    monkeypatch.setattr(BackgroundRunner, "start", start_with_faults)
    return opened


def _failing_first(loop: Loop, left: deque[BaseException]) -> Callable[[], Awaitable[object]]:
    run_round = loop.run_round

    async def failing() -> object:
        if left:
            raise left.popleft()
        return await run_round()

    return failing


def runner_of(app: Litestar) -> BackgroundRunner:
    runner = app.state.background
    assert isinstance(runner, BackgroundRunner)
    return runner


def late(system: System) -> dict[str, object]:
    """Loops without a success since their last failure."""
    return {
        name: status
        for app in system.apps.values()
        for name, status in runner_of(app).statuses().items()
        if status.failures or status.last_success_s is None
    }


async def does_its_work(system: System) -> None:
    """From the sign-up to the issue in the inbox, by nothing but the loops."""
    assert (await system.subscribe("reader@example.com")).status_code == 200

    def mails(stream: str) -> list[str]:
        return [one.text for one in system.oracle.messages() if one.stream == stream]

    await eventually(lambda: len(mails("outbound")) == 1, within_s=RECOVERED_MAX_S, what="the confirmation is out")
    [link] = set(LINK.findall(mails("outbound")[0]))
    assert (await system.confirm(link)).status_code == 200
    content = {
        "title": "An issue",
        "format": "html",
        "content": "<p>Hello</p>",
        "text_content": "Hello",
        "publish": True,
    }
    published = await system.api.post("/api/v1/issues", json=content, headers={"idempotency-key": "one"})
    assert published.is_success, published.text
    await eventually(lambda: len(mails("broadcast")) == 1, within_s=RECOVERED_MAX_S, what="the issue is out")

    async def is_sent() -> bool:
        issue = await system.api.get(f"/api/v1/issues/{published.json()['id']}")
        return bool(issue.json()["status"] == "sent")

    await eventually(is_sent, within_s=RECOVERED_MAX_S, what="the issue is closed")


async def failures_counted(app: Litestar) -> set[tuple[str, str]]:
    async with httpx.AsyncClient(transport=in_this_process(app), base_url="http://127.0.0.1:8081") as client:
        text = (await client.get("/metrics", headers={"authorization": f"Bearer {METRICS_TOKEN}"})).text
    return {
        (sample.labels["loop"], sample.labels["error"])
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "background_failures_total" and sample.value > 0
    }


async def test_each_loop_logs_counts_and_outlives_whatever_a_round_raises(running: Callable[[], Any]) -> None:
    kinds = {type(fault).__name__ for fault in faults()}
    with capture_logs() as lines:
        async with running() as system:
            await eventually(lambda: not late(system), within_s=RECOVERED_MAX_S, what="every loop has succeeded")
            names = {name for app in system.apps.values() for name in runner_of(app).statuses()}
            assert len(names) > 25
            counted = set()
            for app in system.apps.values():
                counted |= await failures_counted(app)
            await does_its_work(system)
    expected = {(name, kind) for name in names for kind in kinds}
    assert counted >= expected
    logged = {(one["loop"], one["error"]) for one in lines if one["event"] == "background.round_failed"}
    assert logged >= expected


async def test_each_loop_outlives_a_fault_that_comes_from_deep_within_its_round(
    database: Database, redis_url: str, sandbox: RunningSandbox, seed: Seed
) -> None:
    """Every statement of the services' engines fails as no driver does: nothing on the way may swallow it."""

    def fail(*_: object) -> None:
        raise UnforeseenError

    async with running_system(database, redis_url, sandbox, seed) as system, system.apps["delivery"].lifespan():
        engines = [cast("Provide", app.dependencies["engine"]).dependency().sync_engine for app in system.apps.values()]
        for engine in engines:
            sa.event.listen(engine, "before_cursor_execute", fail)
        runners = [runner_of(app) for app in system.apps.values()]

        key_uses = system.apps["gateway"].state.key_uses

        def untouched() -> set[str]:
            key_uses.note(1, "127.0.0.1")  # else the loop that writes uses down asks nothing but once an hour
            for runner in runners:
                runner.wake()
            return {name for one in runners for name, status in one.statuses().items() if not status.failures}

        # These ask the database of nothing while nothing comes; the last has a connection of its own.
        idle = {"gateway.webhook_writer_1", "gateway.webhook_writer_2", "delivery.listen"}
        watchers = cast("Provide", system.apps["delivery"].dependencies["watchers"]).dependency()
        with watchers.watch(1, "key:1"):  # else the loop of the event streams asks nothing either
            await eventually(lambda: untouched() <= idle, within_s=RECOVERED_MAX_S, what="every loop has failed")
        for engine in engines:
            sa.event.remove(engine, "before_cursor_execute", fail)
        await eventually(lambda: not late(system), within_s=RECOVERED_MAX_S, what="every loop has succeeded")
        assert all(status.restarts == 0 for one in runners for status in one.statuses().values())
        await does_its_work(system)
