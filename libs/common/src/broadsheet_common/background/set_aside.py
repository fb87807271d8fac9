"""Set aside items that fail repeatedly, for a growing time, so that they do not block the others."""

import random
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import structlog

from broadsheet_common.process.database import may_be_the_items_fault

REST_FIRST_S, REST_MAX_S = 1.0, 60.0
HELD_MAX = 1_000
FORGOTTEN_AFTER_S = 300.0

_log = structlog.get_logger()

KeyT = TypeVar("KeyT", bound=Hashable)
ItemT = TypeVar("ItemT")


def rest_s(failures: int, fraction: float) -> float:
    """How long an item rests after so many failures in a row: doubling to a minute; `fraction` takes off up to half."""
    longest_s = min(REST_MAX_S, REST_FIRST_S * 2.0 ** min(failures - 1, 16))
    return longest_s * (1 - fraction / 2)


class _Rest:
    """The item is not tried again before `until_s` (monotonic)."""

    __slots__ = ("failures", "until_s")

    def __init__(self) -> None:
        self.failures = 0
        self.until_s = 0.0


class SetAside(Generic[KeyT]):
    """The items that one loop holds back in this process, by their ids. Their number is shown as the metric
    `background_set_aside` and in readiness. An item that has been due for long and was not tried was done by
    another process, or no longer exists; it is dropped.
    """

    def __init__(self, loop: str) -> None:
        self.loop = loop
        self._rests: dict[KeyT, _Rest] = {}
        self._random = random.Random()  # noqa: S311  # jitter

    def __len__(self) -> int:
        forgotten_s = time.monotonic() - FORGOTTEN_AFTER_S
        for key in [key for key, rest in self._rests.items() if rest.until_s < forgotten_s]:
            del self._rests[key]
        return len(self._rests)

    def resting(self) -> frozenset[KeyT]:
        """The items that must not be tried now."""
        now_s = time.monotonic()
        return frozenset(key for key, rest in self._rests.items() if rest.until_s > now_s)

    def rest(self, key: KeyT) -> tuple[int, float]:
        """Call it after a failure. Returns how many there were in a row, and how long the item rests now, in
        seconds.
        """
        if key not in self._rests and len(self._rests) >= HELD_MAX:
            # The item held for longest is dropped, so it may be tried again.
            del self._rests[next(iter(self._rests))]
        rest = self._rests.setdefault(key, _Rest())
        rest.failures += 1
        wait_s = rest_s(rest.failures, self._random.random())
        rest.until_s = time.monotonic() + wait_s
        return rest.failures, wait_s

    def hold(self, key: KeyT, error: Exception) -> None:
        """`rest`, and log it."""
        failures, wait_s = self.rest(key)
        log_set_aside(self.loop, error, item=str(key), failures=failures, wait_s=wait_s)

    def forget(self, key: KeyT) -> None:
        """Call it after a success."""
        self._rests.pop(key, None)

    async def each(
        self,
        items: Iterable[ItemT],
        work: Callable[[ItemT], Awaitable[object]],
        *,
        key: Callable[[ItemT], KeyT],
    ) -> int:
        """Do `work` on each item that is not set aside. An item that fails is logged and set aside, and the next one
        follows.

        Returns how many succeeded. Raises if the database is unavailable: then no item is to blame.
        """
        resting = self.resting()
        done = 0
        for item in items:
            name = key(item)
            if name in resting:
                continue
            try:
                await work(item)
            except Exception as error:
                if not may_be_the_items_fault(error):
                    raise
                self.hold(name, error)
            else:
                self.forget(name)
                done += 1
        return done

    async def in_batches(
        self,
        waiting: Callable[[frozenset[KeyT]], Awaitable[Sequence[KeyT]]],
        work: Callable[[Sequence[KeyT]], Awaitable[int]],
        *,
        batches_max: int,
    ) -> int:
        """Do `work` on batches of waiting items until none is left. Returns how many items were handled.

        `waiting` returns the next batch, without the items it is given, which rest. `work` returns how many it
        handled. A batch that fails is done item by item (`batch_or_each`), and an item that fails alone is set aside.
        A batch of which none was handled is the last of the round: other replicas have them, or they were set aside.

        Raises if the database is unavailable: then no item is to blame.
        """

        async def work_and_forget(items: Sequence[KeyT]) -> int:
            handled = await work(items)
            for item in items:
                self.forget(item)
            return handled

        async def put_aside(item: KeyT, error: Exception) -> None:
            self.hold(item, error)

        done = 0
        for _ in range(batches_max):
            handled = await batch_or_each(await waiting(self.resting()), work_and_forget, put_aside=put_aside)
            if not handled:
                break
            done += handled
        return done


class SetAsides:
    """The `SetAside` of each of a service's loops."""

    def __init__(self) -> None:
        self._of: dict[str, SetAside[Any]] = {}

    def of(self, loop: str) -> SetAside[Any]:
        """The `SetAside` of the loop with this name."""
        return self._of.setdefault(loop, SetAside(loop))


def log_set_aside(loop: str, error: Exception, *, item: str, failures: int, wait_s: float) -> None:
    """`item` is an id, never its content. The traceback is logged once, not at each failure."""
    _log.error(
        "background.item_set_aside",
        loop=loop,
        item=item,
        error=type(error).__name__,
        failures=failures,
        wait_s=round(wait_s, 1),
        exc_info=error if failures <= 1 else None,
    )


async def batch_or_each(
    items: Sequence[ItemT],
    batch: Callable[[Sequence[ItemT]], Awaitable[int]],
    *,
    put_aside: Callable[[ItemT, Exception], Awaitable[object]],
) -> int:
    """Do `batch` on all items at once; if that fails, on each alone. An item that fails alone is given to
    `put_aside`.

    Returns the sum of what `batch` returned: how many items it handled, which is less than it was given if another
    replica has some of them. Raises if the database is unavailable: then no item is to blame.
    """
    if not items:
        return 0
    try:
        return await batch(items)
    except Exception as error:
        if not may_be_the_items_fault(error):
            raise
    done = 0
    for item in items:
        try:
            done += await batch([item])
        except Exception as error:
            if not may_be_the_items_fault(error):
                raise
            await put_aside(item, error)
    return done
