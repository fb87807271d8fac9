"""A cache of finished public pages: bounded, and refreshed by one request at a time.

A page is good for `fresh_s`. After that the first request makes it anew, and others meanwhile get the one that is
there. While it cannot be made, because a service does not answer, the last one is shown for `stale_s` at most.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog

from broadsheet_common.http.problems import NotFoundError, ProblemError
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError

RETRY_S: Final = 2.0
"""While it cannot be made, it is tried this often."""
_MISSING_MAX: Final = 10_000

_log = structlog.get_logger()


class KeptPage(msgspec.Struct, frozen=True):
    """A finished answer. The headers are those of the page alone."""

    body: bytes
    media_type: str
    headers: dict[str, str]
    raw_headers: tuple[tuple[bytes, bytes], ...] = ()
    """All of them, as they are sent."""


class _Entry(msgspec.Struct):
    page: KeptPage
    made_at_s: float
    refresh_at_s: float


class PageCache:
    def __init__(
        self,
        *,
        fresh_s: float,
        stale_s: float,
        entries_max: int,
        bytes_max: int,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """All times in seconds. A page larger than `bytes_max` is not kept."""
        self._fresh_s = fresh_s
        self._stale_s = stale_s
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._monotonic_s = monotonic_s
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0
        # Addresses that are not in an archive, and until when that is believed.
        self._missing: OrderedDict[str, float] = OrderedDict()
        self._making: dict[str, asyncio.Task[KeptPage]] = {}

    async def get(self, key: str, make: Callable[[], Awaitable[KeptPage]]) -> KeptPage:
        """Raises what `make` raises, if there is no page to show instead. All who wait for it get the same."""
        entry = self._find(key)
        if entry is not None and (self._monotonic_s() < entry.refresh_at_s or key in self._making):
            return entry.page
        making = self._making.get(key)
        if making is None:
            # A task of its own: whoever asked first may go away, and others wait for it.
            making = self._making[key] = asyncio.create_task(self._make(key, make, entry))
            making.add_done_callback(lambda done: self._end(key, done))
        return await asyncio.shield(making)

    def _end(self, key: str, done: asyncio.Task[KeptPage]) -> None:
        del self._making[key]
        if not done.cancelled():
            done.exception()  # so that it is not reported as never seen, where everybody went away

    def fresh(self, key: str) -> KeptPage | None:
        """The page, if it is there and needs no refreshing."""
        entry = self._entries.get(key)
        if entry is None or self._monotonic_s() >= entry.refresh_at_s:
            return None
        self._entries.move_to_end(key)
        return entry.page

    def _find(self, key: str) -> _Entry | None:
        now_s = self._monotonic_s()
        if self._missing.get(key, now_s) > now_s:
            raise NotFoundError("There is no such page in an archive.")
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
            if now_s >= entry.made_at_s + self._stale_s:
                self._drop(key)
                return None
        return entry

    async def _make(self, key: str, make: Callable[[], Awaitable[KeptPage]], last: _Entry | None) -> KeptPage:
        try:
            page = await make()
        except NotFoundError:
            self._drop(key)
            self._missing[key] = self._monotonic_s() + self._fresh_s
            self._missing.move_to_end(key)
            if len(self._missing) > _MISSING_MAX:
                self._missing.popitem(last=False)
            raise
        except (ProblemError, UpstreamRefusalError) as error:
            if last is None:
                raise
            last.refresh_at_s = self._monotonic_s() + RETRY_S
            _log.warning("archive.shown_stale", error=type(error).__name__)
            return last.page
        self._keep(key, page)
        return page

    def _keep(self, key: str, page: KeptPage) -> None:
        self._drop(key)
        self._missing.pop(key, None)
        now_s = self._monotonic_s()
        self._entries[key] = _Entry(page, made_at_s=now_s, refresh_at_s=now_s + self._fresh_s)
        self._bytes += len(page.body)
        while self._entries and (len(self._entries) > self._entries_max or self._bytes > self._bytes_max):
            self._drop(next(iter(self._entries)))

    def _drop(self, key: str) -> None:
        dropped = self._entries.pop(key, None)
        if dropped is not None:
            self._bytes -= len(dropped.page.body)
