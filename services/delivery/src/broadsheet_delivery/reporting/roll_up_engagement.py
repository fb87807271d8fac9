"""Roll up who received, opened and clicked, in the background, independently of sending and recording.

Segments ask this of a million people at once, and deliveries and events are removed when they are old. One bit
per subscriber and issue, and one per subscriber and day, is small enough to keep and to scan. Setting a bit twice
changes nothing, so a step may be repeated.

Acceptances are rolled up chunk by chunk while an issue is sent, and once over the whole issue when it has ended:
that finds what was settled in the single-mail lane, or later than its chunk.
"""

from typing import Final

from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.reporting import engagement_store as store

QUEUE_ROWS_A_STEP: Final = 10_000
CHUNKS_A_STEP: Final = 20
DELIVERIES_A_STEP: Final = 10_000
STEPS_A_ROUND_MAX: Final = 200
ISSUES_A_ROUND_MAX: Final = 50
_OLD_DAYS_A_ROUND_MAX: Final = 5_000


async def roll_up_engagement(context: DeliveryContext) -> int:
    """One bounded round. Returns how many steps found work. Any number of replicas may run it."""
    steps = 0
    while steps < STEPS_A_ROUND_MAX:
        async with context.engine.begin() as connection:
            rows = await store.roll_up_queue(connection, limit=QUEUE_ROWS_A_STEP)
        steps += 1 if rows else 0
        if rows < QUEUE_ROWS_A_STEP:
            break
    async with context.engine.connect() as connection:
        issue_ids = await store.issues_to_roll_up(connection, limit=ISSUES_A_ROUND_MAX)

    async def roll_up(issue_id: int) -> None:
        nonlocal steps
        while steps < STEPS_A_ROUND_MAX and await _step(context, issue_id):
            steps += 1

    await context.set_asides.of("delivery.engagement").each(issue_ids, roll_up, key=lambda issue_id: issue_id)
    async with context.engine.begin() as connection:
        await store.remove_old_days(connection, limit=_OLD_DAYS_A_ROUND_MAX)
    return steps


async def _step(context: DeliveryContext, issue_id: int) -> bool:
    """One transaction. Returns whether it found work."""
    async with context.engine.begin() as connection:
        held = await store.lock_pass(connection, issue_id)
        if held is None:
            return False
        if held.finished_at is None:
            return await store.roll_up_done_chunks(connection, issue_id, limit=CHUNKS_A_STEP) > 0
        first_seq = held.next_seq if held.pass_for == held.finished_at else 1
        if first_seq >= held.seq_end:
            await store.note_pass(connection, issue_id, pass_for=held.finished_at, next_seq=first_seq, complete=True)
            return False
        behind = min(first_seq + DELIVERIES_A_STEP, held.seq_end)
        await store.roll_up_span(connection, issue_id, first_seq=first_seq, last_seq=behind - 1)
        await store.note_pass(
            connection, issue_id, pass_for=held.finished_at, next_seq=behind, complete=behind >= held.seq_end
        )
        return behind < held.seq_end
