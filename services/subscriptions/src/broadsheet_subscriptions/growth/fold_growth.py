"""Adds what happened to the days, for as long as the app runs.

Each statement that changes subscriptions leaves one row for each newsletter, change and cause in a queue, by triggers,
in its own transaction. Rows are moved into the days in one transaction each step, so each is counted once; whoever
reads in between adds both. One replica at a time, so that none waits for another's days.
"""

from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_subscriptions.growth import store

ROWS_A_STEP = 10_000
STEPS_A_ROUND_MAX = 100
INTERVAL_S = 5.0
BOUND_S = 60.0


async def fold_growth(engine: AsyncEngine) -> int:
    """One bounded round; returns how many rows were added to days."""
    folded = 0
    for _ in range(STEPS_A_ROUND_MAX):
        async with engine.begin() as connection:
            rows = await store.fold(connection, limit=ROWS_A_STEP)
        folded += rows
        if rows < ROWS_A_STEP:
            break
    return folded
