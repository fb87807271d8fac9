"""Close an issue: its audience is complete and every delivery in it is settled. Never before.

The database has the last word: a trigger refuses an end whose counts do not add up (0002_operators.sql).
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.exc import IntegrityError

from broadsheet_delivery.context import DeliveryContext

FINISHED_A_ROUND_MAX = 100

_SETTLED = """
    run.fan_out_finished_at IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM delivery.delivery_chunk AS chunk
                     WHERE chunk.issue_id = run.issue_id AND chunk.status <> 'done')
    AND NOT EXISTS (SELECT 1 FROM delivery.single_mail AS mail
                     WHERE mail.issue_id = run.issue_id AND mail.settled_at IS NULL)
"""


async def finish_issues(context: DeliveryContext) -> list[int]:
    """One bounded round; answers the issues that were closed: sent, or cancelled and with nothing under way.

    One that cannot be closed rests, and the others have their turn.
    """
    held = context.set_asides.of("delivery.finish_issues")
    async with context.engine.connect() as connection:
        rows = await connection.execute(
            sa.text(f"""
                (SELECT run.issue_id FROM delivery.issue_run AS run
                  WHERE run.state = 'open' AND run.issue_id <> ALL (:resting) AND {_SETTLED} LIMIT :limit)
                UNION ALL
                (SELECT run.issue_id FROM delivery.issue_run AS run
                  WHERE run.state = 'cancelled' AND run.finished_at IS NULL AND run.issue_id <> ALL (:resting)
                    AND {_SETTLED} LIMIT :limit)
            """).bindparams(sa.bindparam("resting", type_=pg.ARRAY(sa.BigInteger))),  # noqa: S608  # a constant
            {"limit": FINISHED_A_ROUND_MAX, "resting": list(held.resting())},
        )
        settled = list(rows.scalars())
    finished: list[int] = []

    async def finish(issue_id: int) -> None:
        if await _finish(context, issue_id):
            finished.append(issue_id)

    await held.each(settled, finish, key=lambda issue_id: issue_id)
    return finished


async def _finish(context: DeliveryContext, issue_id: int) -> bool:
    try:
        async with context.engine.begin() as connection:
            await connection.execute(
                sa.text("SELECT 1 FROM delivery.issue_run WHERE issue_id = :issue_id FOR UPDATE"),
                {"issue_id": issue_id},
            )
            # In a snapshot of its own, taken behind the lock: a retry may have reopened the issue meanwhile.
            rows = await connection.execute(
                sa.text(f"""
                    UPDATE delivery.issue_run AS run
                       SET state = CASE run.state WHEN 'open' THEN 'finished' ELSE run.state END, finished_at = now()
                     WHERE run.issue_id = :issue_id AND run.finished_at IS NULL AND run.state IN ('open', 'cancelled')
                       AND {_SETTLED}
                    RETURNING run.state
                """),  # noqa: S608  # a constant
                {"issue_id": issue_id},
            )
            state = rows.scalar_one_or_none()
    except IntegrityError:
        context.log.error("delivery.issue_does_not_add_up", issue_id=issue_id)
        raise
    if state is not None:
        context.log.info("delivery.issue_finished", issue_id=issue_id, state=state)
    return state is not None
