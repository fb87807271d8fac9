"""The runner of background loops: nothing that a round does ends its loop, and how each stands is to be seen."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from broadsheet_common.background import runner as background
from broadsheet_common.background import set_aside
from broadsheet_common.background.loop import Loop, Next
from broadsheet_common.background.runner import BACK_OFF_MAX_S, BackgroundRunner, back_off_s
from broadsheet_common.background.set_aside import SetAside, batch_or_each, rest_s
from broadsheet_common.http.health import read_readiness


class UnforeseenError(Exception):
    """A class that no code names."""


FAULTS = [
    UnforeseenError("x"),
    KeyError("x"),
    RecursionError(),
    MemoryError(),
    ExceptionGroup("x", [UnforeseenError("x"), ValueError("x")]),
    asyncio.CancelledError(),
    OSError(28, "no space left on device"),
    StopAsyncIteration(),
]


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(background, "BACK_OFF_MAX_S", 0.01)
        patched.setattr(set_aside, "REST_MAX_S", 1.0)
        yield


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110  # a condition that has no event
            await asyncio.sleep(0.005)


def rounds_of(faults: Iterator[BaseException], done: list[int]) -> Callable[[], Awaitable[None]]:
    async def run_round() -> None:
        await asyncio.sleep(0)
        if (error := next(faults, None)) is not None:
            raise error
        done.append(1)

    return run_round


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
async def test_whatever_a_round_raises_is_counted_and_the_loop_goes_on(fault: BaseException) -> None:
    done: list[int] = []
    registry = CollectorRegistry()
    loop = Loop("test.loop", rounds_of(iter([fault, fault]), done), interval_s=0.001, bound_s=60)
    runner = BackgroundRunner([loop], registry=registry)
    async with runner.running(stop_timeout_s=5):
        await until(lambda: len(done) > 2)
        status = runner.statuses()["test.loop"]
    assert (status.status, status.failures, status.error, status.restarts) == ("ok", 0, None, 0)
    labels = {"loop": "test.loop", "error": type(fault).__name__}
    assert registry.get_sample_value("background_failures_total", labels) == 2
    assert (registry.get_sample_value("background_last_success_timestamp_seconds", {"loop": "test.loop"}) or 0) > 1e9


async def test_a_task_that_somebody_ended_is_started_anew() -> None:
    done: list[int] = []
    registry = CollectorRegistry()
    runner = BackgroundRunner(
        [Loop("test.loop", rounds_of(iter([]), done), interval_s=0.001, bound_s=60)], registry=registry
    )
    async with runner.running(stop_timeout_s=5):
        await until(lambda: bool(done))
        for task in asyncio.all_tasks():
            if task.get_name() == "background test.loop":
                task.cancel()
        await until(lambda: runner.statuses()["test.loop"].restarts == 1)
        done.clear()
        await until(lambda: bool(done))
    assert registry.get_sample_value("background_restarts_total", {"loop": "test.loop"}) == 1


async def test_readiness_names_the_loop_that_has_not_succeeded_for_its_bound() -> None:
    hanging = asyncio.Event()

    async def fail() -> None:
        raise UnforeseenError

    loops = [
        Loop("test.hangs", hanging.wait, interval_s=0.001, bound_s=0.05, required=True),
        Loop("test.fails", fail, interval_s=0.001, bound_s=0.05),
        Loop("test.waits", fail, interval_s=0.001, bound_s=0.05, required=True, wait_for_room=hanging.wait),
        Loop("test.idles", rounds_of(iter([]), []), interval_s=0.001, bound_s=5.0, required=True),
    ]
    runner = BackgroundRunner(loops)
    async with runner.running(stop_timeout_s=0):
        await until(lambda: all(runner.statuses()[name].status == "late" for name in ("test.hangs", "test.fails")))
        readiness = await read_readiness({}, {}, runner, draining=False)
    assert readiness.status == "failing"
    assert (readiness.failing, readiness.degraded) == (["loop test.hangs"], ["loop test.fails"])
    assert readiness.loops["test.fails"].error == "UnforeseenError"
    assert readiness.loops["test.fails"].last_success_s is None
    assert readiness.loops["test.idles"].last_success_s is not None


async def test_without_what_is_optional_the_service_is_degraded_and_ready() -> None:
    async def fine() -> None:
        return None

    async def away() -> None:
        raise ConnectionError

    readiness = await read_readiness({"database": fine}, {"redis": away}, None, draining=False)
    assert (readiness.status, readiness.degraded) == ("degraded", ["redis"])
    assert readiness.checks == {"database": "ok", "redis": "ConnectionError"}
    readiness = await read_readiness({"database": away}, {"redis": away}, None, draining=False)
    assert (readiness.status, readiness.failing) == ("failing", ["database"])
    assert (await read_readiness({"database": fine}, {}, None, draining=True)).status == "draining"


async def test_a_round_that_says_so_goes_on_for_longer_than_the_bound() -> None:
    async def long_round() -> None:
        while True:
            await asyncio.sleep(0.01)
            loop.progress()

    loop = Loop("test.loop", long_round, interval_s=1, bound_s=0.5, cancel_on_stop=True)
    runner = BackgroundRunner([loop])
    async with runner.running(stop_timeout_s=5):
        await asyncio.sleep(0.7)
        assert runner.statuses()["test.loop"].status == "ok"


async def test_a_wake_ends_the_wait_and_a_round_may_ask_for_the_next_at_once() -> None:
    rounds: list[int] = []

    async def run_round() -> Next | None:
        await asyncio.sleep(0)
        rounds.append(1)
        return Next(0) if len(rounds) < 3 else None

    loop = Loop("test.loop", run_round, interval_s=3600, bound_s=60)
    async with BackgroundRunner([loop]).running(stop_timeout_s=5):
        await until(lambda: len(rounds) == 3)
        loop.wake()
        await until(lambda: len(rounds) == 4)


async def test_a_stop_lets_rounds_end_and_cuts_off_what_takes_too_long() -> None:
    started, stopping, ended = asyncio.Event(), asyncio.Event(), []

    async def run_round() -> None:
        started.set()
        await stopping.wait()
        ended.append("round")

    async def hang() -> None:
        await asyncio.Event().wait()

    async def drain() -> None:
        ended.append("drained")
        await asyncio.Event().wait()

    runner = BackgroundRunner(
        [
            Loop("test.ends", run_round, interval_s=60, bound_s=60),
            Loop("test.hangs", hang, interval_s=60, bound_s=60),
            Loop("test.drains", started.wait, interval_s=60, bound_s=60, drain=drain),
        ]
    )
    runner.start()
    await started.wait()
    asyncio.get_running_loop().call_soon(stopping.set)
    await runner.stop(2)
    assert sorted(ended) == ["drained", "round"]
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("background test.")]


def test_two_loops_of_one_name_are_refused() -> None:
    loop = Loop("test.loop", rounds_of(iter([]), []), interval_s=1, bound_s=1)
    with pytest.raises(ValueError, match="same name"):
        BackgroundRunner([loop, loop])


async def test_an_item_that_fails_rests_and_the_others_are_done() -> None:
    done: list[int] = []

    async def work(item: int) -> None:
        await asyncio.sleep(0)
        if item == 2:
            raise UnforeseenError
        done.append(item)

    held: SetAside[int] = SetAside("test.loop")
    assert await held.each([1, 2, 3], work, key=lambda item: item) == 2
    assert (done, len(held), held.resting()) == ([1, 3], 1, frozenset({2}))
    with pytest.raises(ConnectionError):
        await held.each([4], fail_with(ConnectionError()), key=lambda item: item)
    assert len(held) == 1
    await until(lambda: not held.resting())
    await held.each([2], fail_with(None), key=lambda item: item)
    assert len(held) == 0


def fail_with(error: Exception | None) -> Callable[[int], Awaitable[None]]:
    async def work(_item: int) -> None:
        await asyncio.sleep(0)
        if error is not None:
            raise error

    return work


@given(items=st.lists(st.booleans(), max_size=12))
async def test_of_a_batch_that_fails_only_what_is_to_blame_is_put_aside(items: list[bool]) -> None:
    done: list[int] = []
    aside: list[int] = []
    numbered = list(enumerate(items))

    async def batch(some: object) -> int:
        await asyncio.sleep(0)
        assert isinstance(some, list)
        if any(poison for _, poison in some):
            raise UnforeseenError
        done.extend(number for number, _ in some)
        return len(some)

    async def put_aside(item: tuple[int, bool], _error: Exception) -> None:
        await asyncio.sleep(0)
        aside.append(item[0])

    count = await batch_or_each(numbered, batch, put_aside=put_aside)
    assert done == [number for number, poison in numbered if not poison]
    assert (count, aside) == (len(done), [number for number, poison in numbered if poison])


@pytest.mark.parametrize("is_locked", [False, True])
async def test_batches_end_when_nothing_is_left_or_others_have_it(*, is_locked: bool) -> None:
    """What another replica has locked still waits: asking for it again at once would only spin."""
    left, asked = [1, 2, 3, 4, 5], []
    held: SetAside[int] = SetAside("test.loop")

    async def waiting(resting: frozenset[int]) -> list[int]:
        await asyncio.sleep(0)
        asked.append(resting)
        return [item for item in left if item not in resting][:2]

    async def work(items: Sequence[int]) -> int:
        await asyncio.sleep(0)
        if 3 in items:
            raise UnforeseenError
        if is_locked:
            return 0
        for item in items:
            left.remove(item)
        return len(items)

    assert await held.in_batches(waiting, work, batches_max=10) == (0 if is_locked else 4)
    assert left == ([1, 2, 3, 4, 5] if is_locked else [3])
    assert len(asked) == (1 if is_locked else 4)
    assert held.resting() == (frozenset() if is_locked else frozenset({3}))


async def test_no_round_has_more_batches_than_its_bound() -> None:
    held: SetAside[int] = SetAside("test.loop")
    batches: list[int] = []

    async def waiting(_resting: frozenset[int]) -> list[int]:
        await asyncio.sleep(0)
        return [len(batches)]

    async def work(items: Sequence[int]) -> int:
        await asyncio.sleep(0)
        batches.extend(items)
        return len(items)

    assert await held.in_batches(waiting, work, batches_max=3) == 3
    assert batches == [0, 1, 2]


@given(failures=st.integers(1, 10_000), fraction=st.floats(0, 1))
def test_waits_grow_to_their_bounds_and_keep_at_least_half(failures: int, fraction: float) -> None:
    longest = min(background.BACK_OFF_MAX_S, 0.5 * 2.0 ** min(failures - 1, 16))
    assert longest / 2 <= back_off_s(failures, fraction) <= longest <= BACK_OFF_MAX_S
    longest = min(set_aside.REST_MAX_S, 2.0 ** min(failures - 1, 16))
    assert longest / 2 <= rest_s(failures, fraction) <= longest
