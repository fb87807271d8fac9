"""Deletes kept answers of the gateway's own API once they have expired, in small batches, on any number of replicas."""

from functools import partial
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.background.loop import Loop
from broadsheet_common.http.idempotency import prune_answers
from broadsheet_gateway.tables import idempotency_key

INTERVAL_S: Final = 450.0
BOUND_S: Final = 3_600.0
BATCH_ROWS: Final = 1_000
BATCHES_MAX: Final = 100
"""In a round; the next one goes on."""


async def prune_round(engine: AsyncEngine) -> int:
    """Returns how many were deleted."""
    pruned = 0
    for _ in range(BATCHES_MAX):
        async with engine.begin() as connection:
            rows = await prune_answers(connection, idempotency_key, rows_max=BATCH_ROWS)
        pruned += rows
        if rows == 0:
            break
    return pruned


def prune_loop(engine: AsyncEngine) -> Loop:
    return Loop(
        "gateway.kept_answers",
        partial(prune_round, engine),
        interval_s=INTERVAL_S,
        bound_s=BOUND_S,
        starts_with_wait=True,
        cancel_on_stop=True,
    )
