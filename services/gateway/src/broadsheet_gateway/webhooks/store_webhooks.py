"""Store webhooks in shared transactions: those that arrive while one commits share the next (group commit).

A commit costs nearly the same for one event as for fifty. So a writer rests for a moment after each: under load, what
comes meanwhile shares its next transaction, and an event that comes alone is stored at once. Bounded are a caller's
wait, the events and bytes that wait, and those of a transaction.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.background.loop import Loop, Next
from broadsheet_common.background.runner import BackgroundRunner
from broadsheet_common.contracts.queue import enqueue_provider_events
from broadsheet_common.http.problems import UnavailableError
from broadsheet_common.process.database import is_database_unavailable

WRITERS = 2
"""Transactions at once, of the pool's connections: the pages keep the others."""
REST_S = 0.01
"""Of a writer after a transaction that was not full."""
EVENTS_A_TRANSACTION_MAX = 100
BYTES_A_TRANSACTION_MAX = 4 * 1024 * 1024
"""A single event may be larger, and then goes alone."""
WAITING_EVENTS_MAX = 2_000
WAITING_BYTES_MAX = 32 * 1024 * 1024
WAIT_MAX_S = 8.0
"""For the commit; Postmark itself waits longer for an answer."""
IDLE_S = 5.0
"""Between looks when nothing comes: each event wakes the writers."""
BOUND_S = 60.0
CLOSE_MAX_S = 2.0
"""For transactions under way, once no request is any more."""

_log = structlog.get_logger()


class _Waiting(msgspec.Struct, frozen=True, eq=False):
    body: str
    size_bytes: int
    stored: asyncio.Future[None]


class WebhookInbox:
    """Stores nothing unless entered by `running`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._is_open = False
        self.loops = tuple(
            Loop(f"gateway.webhook_writer_{number}", self._write, interval_s=IDLE_S, bound_s=BOUND_S, drain=self._drain)
            for number in range(1, WRITERS + 1)
        )

    async def store(self, body: str, *, size_bytes: int) -> None:
        """Returns once the event is committed. An event that was given up may be stored all the same: delivery
        applies each event once, however often it comes.

        Raises:
            UnavailableError: it is not known to be stored.
        """
        if (
            not self._is_open
            or len(self._waiting) >= WAITING_EVENTS_MAX
            or self._waiting_bytes + size_bytes > WAITING_BYTES_MAX
        ):
            raise UnavailableError
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(body, size_bytes, stored))
        self._waiting_bytes += size_bytes
        for loop in self.loops:
            loop.wake()
        try:
            async with asyncio.timeout(WAIT_MAX_S):
                await stored
        except TimeoutError as error:
            raise UnavailableError from error

    @asynccontextmanager
    async def running(self, runner: BackgroundRunner | None = None) -> AsyncIterator[None]:
        """Runs `runner`, which has the inbox's loops; without one, these loops alone. At the end, what waits is stored
        within a bound, or refused.
        """
        runner = runner or BackgroundRunner(self.loops)
        self._is_open = True
        runner.start()
        try:
            yield
        finally:
            self._is_open = False
            await runner.stop(CLOSE_MAX_S)
            while batch := self._take():
                _refuse(batch)

    async def _write(self) -> Next | None:
        """One transaction, if anything waits."""
        batch = self._take()
        if not batch:
            return None
        try:
            await self._store(batch)
        finally:
            # Also when cancelled: nobody is left to wait for it.
            _refuse(batch)
        if self._is_open and len(batch) < EVENTS_A_TRANSACTION_MAX:
            await asyncio.sleep(REST_S)
        return Next(0)

    async def _drain(self) -> None:
        while await self._write():
            pass

    def _take(self) -> list[_Waiting]:
        """What came first, up to a transaction's bounds, without those that nobody waits for any more."""
        batch: list[_Waiting] = []
        size_bytes = 0
        while self._waiting and len(batch) < EVENTS_A_TRANSACTION_MAX:
            first = self._waiting[0]
            if batch and size_bytes + first.size_bytes > BYTES_A_TRANSACTION_MAX:
                break
            self._waiting.popleft()
            self._waiting_bytes -= first.size_bytes
            if not first.stored.done():
                batch.append(first)
                size_bytes += first.size_bytes
        return batch

    async def _store(self, batch: Sequence[_Waiting]) -> bool:
        """What is not marked as stored when this returns is not; answers whether the database is there at all."""
        try:
            await self._commit(batch)
        except Exception as error:  # noqa: BLE001  # a writer outlives whatever it is; it is logged and answered 503
            if is_database_unavailable(error):
                _log.warning("webhooks.database_unavailable", events=len(batch), error=type(error).__name__)
                return False
            if len(batch) == 1:
                # Without the database's text, which may repeat the event.
                cause = None if isinstance(error, DBAPIError) else error
                _log.error("webhooks.event_not_stored", error=type(error).__name__, exc_info=cause)
                return True
            # One event in the batch fails: stored one by one, the others succeed.
            for one in batch:
                if not one.stored.done() and not await self._store([one]):
                    return False
        return True

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        async with self._engine.begin() as connection:
            await enqueue_provider_events(connection, [one.body for one in batch])
        for one in batch:
            if not one.stored.done():
                one.stored.set_result(None)


def _refuse(batch: Sequence[_Waiting]) -> None:
    """Those that have no answer yet: to be sent again."""
    for one in batch:
        if not one.stored.done():
            one.stored.set_exception(UnavailableError())
