"""Remove what is old: working rows of ended issues after their counts are frozen, then deliveries and outcomes;
never a count.

Bounded transactions, by one replica at a time (a transaction-scoped advisory lock, which a dying replica releases
at once). An issue that has not ended is never touched: the queue's functions that delete check it themselves.
"""

from collections.abc import Awaitable, Callable
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.background.each import do_each
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.erasure.interface import forget_old_hashes
from broadsheet_delivery.retention.store import (
    ROWS_A_ROUND_MAX,
    freeze_counts,
    is_my_turn,
    remove_answers,
    remove_attempts,
    remove_events,
    remove_outcomes,
    remove_transactional,
    remove_work,
)

ROUNDS_A_STEP_MAX = 200

_Remove = Callable[[AsyncConnection], Awaitable[int]]
"""One round for one kind of row. Returns how many were removed."""


async def retain(context: DeliveryContext) -> int:
    """One bounded step. Returns how many rows were removed. If one kind of row fails, the others are still removed."""
    kinds: list[_Remove] = [
        partial(freeze_counts, context),
        partial(remove_work, context),
        partial(remove_outcomes, context),
        partial(remove_attempts, context),
        partial(remove_events, context),
        remove_answers,
        partial(forget_old_hashes, kept=context.outcomes_kept, limit=ROWS_A_ROUND_MAX),
    ]
    freezing = kinds[0]
    removed = 0

    async def remove(kind: _Remove) -> int:
        nonlocal removed
        for _ in range(ROUNDS_A_STEP_MAX):
            async with context.engine.begin() as connection:
                if not await is_my_turn(connection):
                    return 0
                rows = await kind(connection)
            if rows == 0:
                break
            removed += rows if kind is not freezing else 0
        return 0

    async def remove_mails() -> int:
        nonlocal removed
        after_mail_id = 0
        for _ in range(ROUNDS_A_STEP_MAX):
            async with context.engine.begin() as connection:
                if not await is_my_turn(connection):
                    return 0
                mails, after_mail_id = await remove_transactional(context, connection, after_mail_id)
            removed += mails
            if after_mail_id == 0:
                break
        return 0

    await do_each([*(partial(remove, kind) for kind in kinds), remove_mails])
    if removed:
        context.log.info("delivery.old_rows_removed", rows=removed)
    return removed
