"""Counts how often keys are used and from where, in the process, and writes the counts down every few seconds.

A request costs a look into a dictionary. A process that is killed loses the counts of its last seconds.
"""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.background.loop import Loop
from broadsheet_gateway.api_keys.store import OTHER_SOURCES, record_uses, remove_old_uses

WRITE_EVERY_S: Final = 5.0
BOUND_S: Final = 120.0
ENTRIES_MAX: Final = 10_000
"""Pairs of key and source between two writes; beyond it, sources are counted together."""
SOURCE_CHARS_MAX: Final = 64
_ROUNDS_A_CLEANING: Final = 720


class KeyUses:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._counts: dict[tuple[int, str], int] = {}
        self._rounds = 0

    def note(self, key_id: int, source: str) -> None:
        entry = (key_id, source[:SOURCE_CHARS_MAX] or OTHER_SOURCES)
        if entry not in self._counts and len(self._counts) >= ENTRIES_MAX:
            entry = (key_id, OTHER_SOURCES)
        self._counts[entry] = self._counts.get(entry, 0) + 1

    def loop(self) -> Loop:
        """For the gateway's runner. What is left is written when the process stops."""
        return Loop("gateway.key_uses", self.write, interval_s=WRITE_EVERY_S, bound_s=BOUND_S, drain=self._write_counts)

    async def write(self) -> None:
        """One round: the counts since the last, and about once an hour the removal of old ones."""
        await self._write_counts()
        if self._rounds % _ROUNDS_A_CLEANING == 0:
            async with self._engine.begin() as connection:
                await remove_old_uses(connection)
        self._rounds += 1

    async def _write_counts(self) -> None:
        """What is not written stays counted for the next round."""
        written = dict(self._counts)
        if not written:
            return
        async with self._engine.begin() as connection:
            await record_uses(connection, [(key_id, source, n) for (key_id, source), n in sorted(written.items())])
        for entry, requests in written.items():  # meanwhile there may have been more
            self._counts[entry] -= requests
            if self._counts[entry] == 0:
                del self._counts[entry]
