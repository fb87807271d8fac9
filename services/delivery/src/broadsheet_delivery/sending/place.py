"""A lane's places in a replica: how many of its calls are under way at once.

A slow call gives its place back before it ends, so that a Postmark that hangs does not stop the replica from
trying again until the HTTP time-out. The number of calls without a place is bounded too.
"""

import asyncio
from typing import Final

_SLOW_CALLS_MIN: Final = 8
"""So many slow calls are allowed even for a lane with one place: the HTTP time-out divided by DELIVERY_SLOW_CALL_S."""


def slow_calls_max(places: int) -> int:
    """Slow calls allowed in addition to the lane's places: as many as the places, or the minimum above."""
    return max(places, _SLOW_CALLS_MIN)


class Place:
    """One place of a lane, taken. `free` ends it, once; `leave_early` frees it for another while the work goes on."""

    def __init__(self, places: "Places") -> None:
        self._places = places
        self._early = False

    def leave_early(self) -> None:
        if not self._early and self._places.slow < self._places.slow_max:
            self._early = True
            self._places.slow += 1
            self._places.semaphore.release()

    def free(self) -> None:
        if self._early:
            self._places.slow -= 1
        else:
            self._places.semaphore.release()


class Places:
    """`slow` of at most `slow_max` calls go on without a place."""

    def __init__(self, places: int) -> None:
        self.semaphore = asyncio.Semaphore(places)
        self.slow = 0
        self.slow_max = slow_calls_max(places)

    async def take(self) -> Place:
        await self.semaphore.acquire()
        return Place(self)
