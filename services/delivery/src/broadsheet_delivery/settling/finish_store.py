"""SQL that ends issues. Every function takes the connection of its caller's transaction."""

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

_SETTLED = """
    run.fan_out_finished_at IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM delivery.delivery_chunk AS chunk
                     WHERE chunk.issue_id = run.issue_id AND chunk.status <> 'done')
    AND NOT EXISTS (SELECT 1 FROM delivery.single_mail AS mail
                     WHERE mail.issue_id = run.issue_id AND mail.settled_at IS NULL)
"""


async def settled_issues(connection: AsyncConnection, *, resting: Collection[int], limit: int) -> list[int]:
    """Open or cancelled issues in which everything is settled, except those that are set aside after a failure."""
    rows = await connection.execute(
        sa.text(f"""
            (SELECT run.issue_id FROM delivery.issue_run AS run
              WHERE run.state = 'open' AND run.issue_id <> ALL (:resting) AND {_SETTLED} LIMIT :limit)
            UNION ALL
            (SELECT run.issue_id FROM delivery.issue_run AS run
              WHERE run.state = 'cancelled' AND run.finished_at IS NULL AND run.issue_id <> ALL (:resting)
                AND {_SETTLED} LIMIT :limit)
        """).bindparams(sa.bindparam("resting", type_=pg.ARRAY(sa.BigInteger))),  # a constant
        {"limit": limit, "resting": list(resting)},
    )
    return list(rows.scalars())


async def end_issue(connection: AsyncConnection, issue_id: int) -> str | None:
    """Ends the issue. Returns its state, or None if something in it is not settled after all."""
    await connection.execute(
        sa.text("SELECT 1 FROM delivery.issue_run WHERE issue_id = :issue_id FOR UPDATE"), {"issue_id": issue_id}
    )
    # In a snapshot of its own, taken behind the lock: a retry may have reopened the issue meanwhile.
    rows = await connection.execute(
        sa.text(f"""
            UPDATE delivery.issue_run AS run
               SET state = CASE run.state WHEN 'open' THEN 'finished' ELSE run.state END, finished_at = now()
             WHERE run.issue_id = :issue_id AND run.finished_at IS NULL AND run.state IN ('open', 'cancelled')
               AND {_SETTLED}
            RETURNING run.state
        """),  # a constant
        {"issue_id": issue_id},
    )
    state: str | None = rows.scalar_one_or_none()
    return state
