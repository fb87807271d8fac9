"""End an issue: its audience is complete and every delivery in it is settled. Never before.

The database checks it: a trigger refuses an end whose counts do not add up (0002_operators.sql).
"""

from sqlalchemy.exc import IntegrityError

from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.settling.finish_store import end_issue, settled_issues

FINISHED_A_ROUND_MAX = 100


async def finish_issues(context: DeliveryContext) -> list[int]:
    """One bounded round. Returns the issues that were ended: sent, or cancelled with nothing under way.

    An issue that cannot be ended is set aside for a while, and the others go on.
    """
    held = context.set_asides.of("delivery.finish_issues")
    async with context.engine.connect() as connection:
        settled = await settled_issues(connection, resting=held.resting(), limit=FINISHED_A_ROUND_MAX)
    finished: list[int] = []

    async def finish(issue_id: int) -> None:
        if await _finish(context, issue_id):
            finished.append(issue_id)

    await held.each(settled, finish, key=lambda issue_id: issue_id)
    return finished


async def _finish(context: DeliveryContext, issue_id: int) -> bool:
    try:
        async with context.engine.begin() as connection:
            state = await end_issue(connection, issue_id)
    except IntegrityError:
        context.log.error("delivery.issue_does_not_add_up", issue_id=issue_id)
        raise
    if state is not None:
        context.log.info("delivery.issue_finished", issue_id=issue_id, state=state)
    return state is not None
