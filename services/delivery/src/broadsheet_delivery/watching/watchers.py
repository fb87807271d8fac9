"""Who watches what: the open streams of a process, their bounds, and the fan-out of what was found to them.

A stream that is read slowly costs nothing but its place: nothing is queued for it, and when it comes for more it gets
the newest state.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from broadsheet_common.http.problems import TooManyRequestsError, UnavailableError
from broadsheet_delivery.watching.dashboard_view import DashboardView

Topic = int | DashboardView
"""An issue's id, or the dashboard as some rights let see it."""

RETRY_AFTER_S: Final = 10
FRESH_S: Final = 1.0
"""So old may the dashboard be that a new stream begins with: as old as it may be for those that are open. An issue is
asked for anew: who comes to it may just have paused it.
"""


class StreamsFullError(UnavailableError):
    slug, title = "streams-full", "As many event streams are open as this server can serve"


class TooManyStreamsError(TooManyRequestsError):
    slug, title = "too-many-streams", "This caller has too many event streams open"


class State(msgspec.Struct, frozen=True):
    """`message` is the event as it is sent; `id` names the state. After one that `is_final` a stream ends."""

    id: str
    message: bytes
    is_final: bool


class Watched:
    """One topic: what is known of it, and who waits for news. `state` None: there is no such issue."""

    def __init__(self) -> None:
        self.is_known = asyncio.Event()
        self.state: State | None = None
        self.read_at_s = 0.0
        self.waiting: set[asyncio.Event] = set()


class Watcher:
    """One open stream."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._news = asyncio.Event()
        watched.waiting.add(self._news)

    async def first(self, timeout_s: float) -> State | None:
        """The state of now; None if there is no such issue. Raises UnavailableError if it is not known in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._watched.is_known.wait()
        except TimeoutError as error:
            raise UnavailableError from error
        self._news.clear()
        return self._watched.state

    async def next(self, timeout_s: float) -> State | None:
        """The newest state, when there is one that this stream has not had; None after `timeout_s`, or when woken
        because streams are to end.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return None
        self._news.clear()
        return self._watched.state

    @property
    def read_at_s(self) -> float:
        """When the database was last asked, by the monotonic clock."""
        return self._watched.read_at_s

    def leave(self) -> None:
        self._watched.waiting.discard(self._news)


class Watchers:
    """All open streams. `wake` is called when something is watched that is not known yet."""

    def __init__(
        self,
        *,
        watchers_max: int,
        per_caller_max: int,
        wake: Callable[[], None] = lambda: None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.watchers_max = watchers_max
        self.per_caller_max = per_caller_max
        self.wake = wake
        self.monotonic_s = monotonic_s
        self.is_closed = False
        self._watched: dict[Topic, Watched] = {}
        self._left: dict[DashboardView, Watched] = {}
        self._by_caller: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._by_caller.total()

    @property
    def topics(self) -> frozenset[Topic]:
        return frozenset(self._watched)

    @contextmanager
    def watch(self, topic: Topic, caller: str) -> Iterator[Watcher]:
        """Hold one of the places. Raises StreamsFullError, TooManyStreamsError."""
        if self._by_caller[caller] >= self.per_caller_max:
            raise TooManyStreamsError(
                f"At most {self.per_caller_max} may be open at once.", headers={"Retry-After": str(RETRY_AFTER_S)}
            )
        if len(self) >= self.watchers_max:
            raise StreamsFullError(retry_after_s=RETRY_AFTER_S)
        watched = self._watched.setdefault(topic, self._taken_up(topic))
        self._by_caller[caller] += 1
        watcher = Watcher(watched)
        try:
            if not watched.is_known.is_set():
                self.wake()
            yield watcher
        finally:
            watcher.leave()
            self._by_caller[caller] -= 1
            if not self._by_caller[caller]:
                del self._by_caller[caller]
            if not watched.waiting:
                self._watched.pop(topic, None)
                if isinstance(topic, DashboardView) and watched.is_known.is_set():
                    self._left[topic] = watched

    def _taken_up(self, topic: Topic) -> Watched:
        """What was known a moment ago, for who goes from one page to the next; else nothing yet."""
        oldest_s = self.monotonic_s() - FRESH_S
        self._left = {one: left for one, left in self._left.items() if left.read_at_s > oldest_s}
        left = self._left.pop(topic, None) if isinstance(topic, DashboardView) else None
        return left or Watched()

    def publish(self, topic: Topic, state: State | None) -> None:
        """Tell all who watch, if it is news to them. `state` None: there is no such issue."""
        watched = self._watched.get(topic)
        if watched is None:
            return  # the last one left while the database was asked
        watched.read_at_s = self.monotonic_s()
        is_news = not watched.is_known.is_set() or state != watched.state
        watched.state = state
        watched.is_known.set()
        if is_news:
            for news in watched.waiting:
                news.set()

    def close(self) -> None:
        """Every stream ends, and those that begin now do too."""
        self.is_closed = True
        for watched in self._watched.values():
            for news in watched.waiting:
                news.set()
