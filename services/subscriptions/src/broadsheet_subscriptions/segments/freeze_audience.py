"""Finds the members of frozen audiences, a range of ids per transaction, for as long as the app runs.

The tree, and the moment from which its relative days are counted, were frozen in the transaction that published
the issue. Who matches is read within moments of that. Each range is read in one snapshot, and the cursor moves in
the same transaction that writes the range's bits, so any replica can continue where another stopped. Publishing
waits until the audience is complete.
"""

from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.process.database import may_be_the_items_fault
from broadsheet_subscriptions.attributes.interface import attribute_types
from broadsheet_subscriptions.segments import audience_store as store
from broadsheet_subscriptions.segments.parse_filter import parse_filter

BLOCKS_A_STEP = 32
"""262,144 ids: takes a fraction of a second, far below the statement time-out."""
STEPS_A_ROUND_MAX = 500
INTERVAL_S = 0.5
BOUND_S = 60.0
WAIT_MAX_S = 60.0

_log = structlog.get_logger()


async def freeze_audiences(engine: AsyncEngine, *, blocks_a_step: int = BLOCKS_A_STEP) -> int:
    """One bounded round; returns how many members were found. An audience that fails waits, and the others go on."""
    found = 0
    for _ in range(STEPS_A_ROUND_MAX):
        step = await _step(engine, blocks_a_step)
        if step is None:
            break
        found += step
    return found


async def _step(engine: AsyncEngine, blocks: int) -> int | None:
    """Returns how many members were found; None: nothing is due."""
    held: store.OpenAudience | None = None
    try:
        async with engine.begin() as connection:
            held = await store.lock_open_audience(connection)
            if held is None:
                return None
            node = parse_filter(held.filter, await attribute_types(connection))
            members = await store.add_blocks(connection, held, node, blocks=blocks)
            behind = held.next_block + blocks
            complete = behind > await store.last_block(connection)
            await store.advance(connection, held, next_block=behind, members=members, complete=complete)
    except Exception as error:
        # Any error that may be this audience's fault postpones it, and the others go on.
        if held is None or not may_be_the_items_fault(error):
            raise
        wait = timedelta(seconds=min(WAIT_MAX_S, 2.0 ** min(held.failure_count, 10)))
        _log.error("subscriptions.audience_failed", issue_id=held.issue_id, error=type(error).__name__, exc_info=error)
        async with engine.begin() as connection:
            await store.put_off(connection, held, wait=wait)
        return 0
    if complete:
        _log.info("subscriptions.audience_frozen", issue_id=held.issue_id)
    return members
