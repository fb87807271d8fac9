"""The cache of public pages: bounded, refreshed by one, and what it shows when it cannot be refreshed."""

import asyncio

import pytest

from broadsheet_common.http.problems import NotFoundError, UnavailableError
from broadsheet_gateway.archive.page_cache import RETRY_S, KeptPage, PageCache


class World:
    """A cache with a clock, and what makes its pages."""

    def __init__(self, *, entries_max: int = 10, bytes_max: int = 1_000) -> None:
        self.now_s = 0.0
        self.made = 0
        self.fault: Exception | None = None
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.size = 10
        self.cache = PageCache(
            fresh_s=30, stale_s=300, entries_max=entries_max, bytes_max=bytes_max, monotonic_s=lambda: self.now_s
        )

    async def make(self) -> KeptPage:
        self.made += 1
        number = self.made
        await self.may_end.wait()
        if self.fault is not None:
            raise self.fault
        return KeptPage(str(number).encode().ljust(self.size), "text/plain", {})

    async def get(self, key: str = "page") -> int:
        return int((await self.cache.get(key, self.make)).body)


async def test_a_page_is_made_once_and_again_when_it_is_old() -> None:
    world = World()
    assert [await world.get() for _ in range(3)] == [1, 1, 1]
    world.now_s = 29.9
    assert await world.get() == 1
    world.now_s = 30
    assert [await world.get() for _ in range(2)] == [2, 2]


async def test_whoever_comes_first_waits_for_one_and_the_same_page() -> None:
    world = World()
    world.may_end.clear()
    waiting = [asyncio.create_task(world.get()) for _ in range(20)]
    await asyncio.sleep(0)
    world.may_end.set()
    assert await asyncio.gather(*waiting) == [1] * 20
    assert world.made == 1
    assert world.cache._making == {}


async def test_while_one_makes_it_anew_the_others_get_the_one_that_is_there() -> None:
    world = World()
    await world.get()
    world.now_s = 31
    world.may_end.clear()
    maker = asyncio.create_task(world.get())
    await asyncio.sleep(0)
    assert [await world.get() for _ in range(3)] == [1, 1, 1]
    world.may_end.set()
    assert (await maker, world.made) == (2, 2)


async def test_a_request_that_is_given_up_does_not_take_the_page_from_others() -> None:
    world = World()
    world.may_end.clear()
    maker, waiter = (asyncio.create_task(world.get()) for _ in range(2))
    await asyncio.sleep(0)
    maker.cancel()
    world.may_end.set()
    assert (await waiter, world.made) == (1, 1)
    assert world.cache._making == {}


async def test_whoever_waits_for_a_page_that_cannot_be_made_is_told_at_once() -> None:
    world = World()
    world.may_end.clear()
    waiting = [asyncio.create_task(world.get()) for _ in range(5)]
    await asyncio.sleep(0)
    world.fault = UnavailableError()
    world.may_end.set()
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(one) for one in told} == {UnavailableError}
    assert world.made == 1


async def test_a_fault_shows_the_last_page_for_a_while_and_is_not_asked_about_each_time() -> None:
    world = World()
    await world.get()
    world.now_s, world.fault = 31, UnavailableError()
    assert [await world.get() for _ in range(5)] == [1] * 5
    assert world.made == 2
    world.now_s += RETRY_S
    assert await world.get() == 1
    assert world.made == 3
    world.now_s = 300
    with pytest.raises(UnavailableError):
        await world.get()
    world.fault = None
    assert await world.get() == 5


async def test_what_is_gone_is_gone_at_once_and_may_come_back() -> None:
    world = World()
    await world.get()
    world.now_s, world.fault = 31, NotFoundError()
    for _ in range(3):
        with pytest.raises(NotFoundError):
            await world.get()
    assert (world.made, world.cache._bytes) == (2, 0)
    world.now_s, world.fault = 62, None
    assert await world.get() == 3


async def test_it_holds_so_many_pages_and_so_many_bytes_and_drops_what_was_not_asked_for() -> None:
    world = World(entries_max=3, bytes_max=10_000)
    for key in "abcd":
        await world.get(key)
    await world.get("b")
    assert world.made == 4
    await world.get("e")
    assert list(world.cache._entries) == ["d", "b", "e"]

    world = World(entries_max=100, bytes_max=35)
    for key in "abcd":
        await world.get(key)
    assert (list(world.cache._entries), world.cache._bytes) == (["b", "c", "d"], 30)
    world.size = 36
    assert await world.get("too large") == 5
    assert (list(world.cache._entries), world.cache._bytes) == ([], 0)


async def test_addresses_that_do_not_exist_are_forgotten_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broadsheet_gateway.archive.page_cache._MISSING_MAX", 5)
    world = World()
    world.fault = NotFoundError()
    for number in range(20):
        with pytest.raises(NotFoundError):
            await world.get(str(number))
    assert list(world.cache._missing) == ["15", "16", "17", "18", "19"]
    assert world.cache._making == {}
