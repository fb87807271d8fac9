"""Close an issue: its audience is complete and every delivery in it is settled. Never before."""

import sqlalchemy as sa

from broadsheet_delivery.context import DeliveryContext

FINISHED_A_ROUND_MAX = 100


async def finish_issues(context: DeliveryContext) -> list[int]:
    """One bounded round; answers the issues that were closed."""
    async with context.engine.begin() as connection:
        rows = await connection.execute(
            sa.text("""
                WITH settled AS MATERIALIZED (
                    SELECT run.issue_id
                      FROM delivery.issue_run AS run
                     WHERE run.state = 'open' AND run.fan_out_finished_at IS NOT NULL
                       AND NOT EXISTS (SELECT 1 FROM delivery.delivery_chunk AS chunk
                                        WHERE chunk.issue_id = run.issue_id AND chunk.status <> 'done')
                       AND NOT EXISTS (SELECT 1 FROM delivery.single_mail AS mail
                                        WHERE mail.issue_id = run.issue_id AND mail.settled_at IS NULL)
                     LIMIT :limit FOR UPDATE SKIP LOCKED
                )
                UPDATE delivery.issue_run SET state = 'finished', finished_at = now()
                 WHERE issue_id = ANY (ARRAY (SELECT issue_id FROM settled))
                RETURNING issue_id
            """),
            {"limit": FINISHED_A_ROUND_MAX},
        )
        finished = list(rows.scalars())
    for issue_id in finished:
        context.log.info("delivery.issue_finished", issue_id=issue_id)
    return finished
