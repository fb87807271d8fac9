"""Turns for composing mails: in small slices, one at a time, round-robin over issues.

Composing occupies the event loop, which also answers `/health/live`, keeps leases and sends confirmations. So no
slice is longer than `SLICE_WORK` and one mail, the loop runs everything else between two slices, and an issue
with expensive mails gets one slice for each slice of every other issue.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

SLICE_WORK: Final = 250_000
"""Units of work (`Work`) after which another issue has its turn: about 5 ms."""
MAIL_WORK: Final = 1_500
"""What composing one mail costs besides its templates: its link, its headers, its JSON."""


class ComposeTurns:
    """Of one event loop."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, deque[asyncio.Future[None]]] = OrderedDict()
        self._is_taken = False

    @asynccontextmanager
    async def turn(self, issue_id: int) -> AsyncIterator[None]:
        """Held for one slice: nothing is awaited within it."""
        if self._is_taken:
            await self._wait(issue_id)
        self._is_taken = True
        try:
            yield
        finally:
            # Not at once: other work that is ready goes first.
            asyncio.get_running_loop().call_soon(self._next)

    async def _wait(self, issue_id: int) -> None:
        mine = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(issue_id, deque()).append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                # The turn was passed to this waiter when it was cancelled; it passes it on.
                self._next()
            raise

    def _next(self) -> None:
        while self._waiting:
            issue_id, queue = self._waiting.popitem(last=False)
            waiter = queue.popleft()
            if queue:
                self._waiting[issue_id] = queue
            if not waiter.done():
                waiter.set_result(None)
                return
        self._is_taken = False
