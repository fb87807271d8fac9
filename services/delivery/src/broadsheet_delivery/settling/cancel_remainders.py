"""Cancel what is left of cancelled issues: everything for which no call was begun, in bounded transactions.

The issue's state stops the claims at once (queue function `cancel_issue`); this closes the books behind it. Calls under
way and uncertain ones still settle truthfully: what comes back to wait is cancelled by a later round. Any number of
replicas may do it at once.
"""

import sqlalchemy as sa

from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.settling.chunk_rounds_store import cancel_waiting_chunks, cancel_waiting_mails

ISSUES_A_STEP_MAX = 20
ROUNDS_A_STEP_MAX = 50


async def cancel_remainders(context: DeliveryContext) -> int:
    """One bounded step; answers how many chunks and mails were closed."""
    async with context.engine.connect() as connection:
        rows = await connection.execute(
            sa.text("""
                SELECT run.issue_id FROM delivery.issue_run AS run
                 WHERE run.state = 'cancelled' AND run.finished_at IS NULL
                   -- Those of which everything is under way, uncertain or parked have nothing to be cancelled, perhaps
                   -- for weeks: they must not stand before the others.
                   AND (EXISTS (SELECT 1 FROM delivery.delivery_chunk AS chunk
                                 WHERE chunk.issue_id = run.issue_id AND chunk.status <> 'done'
                                   AND chunk.status IN ('pending', 'leased'))
                        OR EXISTS (SELECT 1 FROM delivery.single_mail AS mail
                                    WHERE mail.issue_id = run.issue_id AND mail.status IN ('pending', 'leased')))
                 ORDER BY run.issue_id LIMIT :limit
            """),
            {"limit": ISSUES_A_STEP_MAX},
        )
        issue_ids = list(rows.scalars())
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
