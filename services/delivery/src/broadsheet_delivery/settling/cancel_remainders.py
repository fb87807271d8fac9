"""Cancel what is left of cancelled issues: everything for which no call was begun, in bounded transactions.

The issue's state stops claims at once (queue function `cancel_issue`); this settles the rest. Calls under way and
uncertain ones are settled as usual: what becomes pending again is cancelled by a later round. Any number of
replicas may run it.
"""

from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.settling.chunk_rounds_store import (
    cancel_waiting_chunks,
    cancel_waiting_mails,
    issues_to_cancel,
)

ISSUES_A_STEP_MAX = 20
ROUNDS_A_STEP_MAX = 50


async def cancel_remainders(context: DeliveryContext) -> int:
    """One bounded step. Returns how many chunks and mails were cancelled."""
    async with context.engine.connect() as connection:
        issue_ids = await issues_to_cancel(connection, limit=ISSUES_A_STEP_MAX)
    closed = 0

    async def close(issue_id: int) -> None:
        nonlocal closed
        closed += await _close(context, issue_id)

    await context.set_asides.of("delivery.cancel_remainders").each(issue_ids, close, key=lambda issue_id: issue_id)
    return closed


async def _close(context: DeliveryContext, issue_id: int) -> int:
    closed = 0
    for _ in range(ROUNDS_A_STEP_MAX):
        async with context.engine.begin() as connection:
            chunks = await cancel_waiting_chunks(connection, issue_id=issue_id)
            mails = await cancel_waiting_mails(connection, issue_id=issue_id)
        if chunks + mails == 0:
            break
        closed += chunks + mails
    return closed
