"""The audit log's loops: chaining committed entries, and passing them on to the process's log and to AUDIT_STREAM."""

from typing import Final

from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.background.loop import Loop, Next
from broadsheet_common.process.metrics import Gauge
from broadsheet_gateway.audit import store
from broadsheet_gateway.audit.follow_entries import Follower
from broadsheet_gateway.audit.sinks import LogSink, create_sink
from broadsheet_gateway.audit.stream_target import parse_stream_target

SEAL_ENTRIES_MAX: Final = 500
"""Chained in one transaction."""
SEAL_INTERVAL_S: Final = 1.0
SEAL_BOUND_S: Final = 30.0
FOLLOW_INTERVAL_S: Final = 1.0
FOLLOW_BOUND_S: Final = 120.0
LOG_TARGET: Final = "log"
"""The log's name in the table of positions. A setting cannot be the same."""


class Sealer:
    """Chains what was committed; shows how long the oldest entry has waited for it."""

    def __init__(self, engine: AsyncEngine, *, registry: CollectorRegistry | None = None) -> None:
        self._engine = engine
        self._age = Gauge(
            "audit_oldest_unchained_seconds",
            "Age of the oldest audit entry that is not chained yet",
            registry=registry or CollectorRegistry(),
        )

    async def seal(self) -> Next | None:
        async with self._engine.begin() as connection:
            sealed = await store.seal(connection, entries_max=SEAL_ENTRIES_MAX)
            self._age.set(await store.read_oldest_age_s(connection))
        return Next(0) if sealed == SEAL_ENTRIES_MAX else None


def audit_loops(engine: AsyncEngine, *, stream: str | None, registry: CollectorRegistry | None = None) -> list[Loop]:
    """`stream`: AUDIT_STREAM."""
    loops = [
        Loop(
            "gateway.audit_chain",
            Sealer(engine, registry=registry).seal,
            interval_s=SEAL_INTERVAL_S,
            bound_s=SEAL_BOUND_S,
        ),
        Loop(
            "gateway.audit_log",
            Follower(engine, LogSink(), LOG_TARGET).follow,
            interval_s=FOLLOW_INTERVAL_S,
            bound_s=FOLLOW_BOUND_S,
        ),
    ]
    if stream is not None:
        follower = Follower(engine, create_sink(parse_stream_target(stream)), stream)
        loops.append(
            Loop("gateway.audit_stream", follower.follow, interval_s=FOLLOW_INTERVAL_S, bound_s=FOLLOW_BOUND_S)
        )
    return loops
