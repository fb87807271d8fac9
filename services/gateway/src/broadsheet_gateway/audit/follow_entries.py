"""Pass entries on to a place, from where it stands: at least once each, in the chain's order.

One process at a time holds the place's lease. No transaction is open while a batch is written. If a process dies before
it has recorded the batch, the next one writes it again.
"""

import secrets
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.background.loop import Next
from broadsheet_gateway.audit import store
from broadsheet_gateway.audit.sinks import Sink

BATCH_ENTRIES_MAX: Final = 500
LEASE_S: Final = 60.0
"""Longer than a batch may take."""


class Follower:
    """`target` names the place in the table of positions."""

    def __init__(self, engine: AsyncEngine, sink: Sink, target: str) -> None:
        self._engine = engine
        self._sink = sink
        self._target = target
        self._lease = secrets.token_hex(16)

    async def follow(self) -> Next | None:
        """One batch, if there is something new.

        Raises:
            OSError, TimeoutError: the place does not take it; nothing is lost.
        """
        async with self._engine.begin() as connection:
            number = await store.lease_stream(connection, self._target, lease=self._lease, lease_s=LEASE_S)
        if number is None:
            return None
        async with self._engine.connect() as connection:
            entries = await store.list_after(connection, number, limit=BATCH_ENTRIES_MAX)
        if not entries:
            return None
        await self._sink.write(entries)
        async with self._engine.begin() as connection:
            await store.move_stream(connection, self._target, entries[-1].number, lease=self._lease)
        return Next(0) if len(entries) == BATCH_ENTRIES_MAX else None
