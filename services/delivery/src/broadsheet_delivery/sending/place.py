"""A lane's places in a replica: how many of its pieces of work are under way at once.

A call that became slow gives its place back before it ends, so that a Postmark that hangs does not keep the replica
from trying again until the HTTP time-out. It does so only while few others have: what is under way stays bounded.
"""

import asyncio
from typing import Final

_SLOW_CALLS_MIN: Final = 8
"""Also a lane with one place may try so often while older calls hang: the HTTP time-out over DELIVERY_SLOW_CALL_S."""


def slow_calls_max(places: int) -> int:
    """Slow calls beside the lane's places: as many as those, or a few."""
    return max(places, _SLOW_CALLS_MIN)


class Place:
    """One of a lane's places, taken. `free` ends it, once; `leave_early` lets another in while the work goes on."""

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
    """`slow` of at most `slow_max` pieces of work go on without a place."""

    def __init__(self, places: int) -> None:
        self.semaphore = asyncio.Semaphore(places)
        self.slow = 0
        self.slow_max = slow_calls_max(places)

    async def take(self) -> Place:
        await self.semaphore.acquire()
        return Place(self)
