"""SQL of engagement: who received, opened and clicked, as bits by issue and by day.

Every function takes the connection of its caller's transaction. Blocks are written in the order of their keys, so
that two replicas cannot deadlock.
"""

from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.tables import ENGAGEMENT_BLOCK_BITS

DAYS_KEPT: Final = 400
"""Filters look back a year."""

# `bit` is a relation (event, issue_id, day, subscriber_id), each row of which sets two bits.
_SET_BITS: Final = f"""
    , by_block AS MATERIALIZED (
        SELECT event, issue_id, day, subscriber_id / {ENGAGEMENT_BLOCK_BITS} AS block,
               bit_or(set_bit(CAST(repeat('0', {ENGAGEMENT_BLOCK_BITS}) AS bit({ENGAGEMENT_BLOCK_BITS})),
                              CAST(subscriber_id % {ENGAGEMENT_BLOCK_BITS} AS integer), 1)) AS members
          FROM engaged GROUP BY event, issue_id, day, block
    ), of_issues AS (
        INSERT INTO delivery.issue_engagement AS kept (issue_id, event, block, members)
        SELECT issue_id, event, block, bit_or(members) FROM by_block
         GROUP BY issue_id, event, block ORDER BY issue_id, event, block
        ON CONFLICT (issue_id, event, block) DO UPDATE SET members = kept.members | excluded.members
    ), of_days AS (
        INSERT INTO delivery.daily_engagement AS kept (event, day, block, members)
        SELECT event, day, block, bit_or(members) FROM by_block
         GROUP BY event, day, block ORDER BY event, day, block
        ON CONFLICT (event, day, block) DO UPDATE SET members = kept.members | excluded.members
    )
"""


async def roll_up_queue(connection: AsyncConnection, *, limit: int) -> int:
    """Opens and clicks that no other replica has locked, oldest first, deleted with the commit. Returns how many.

    Each is looked up separately (LATERAL … LIMIT 1), so that the plan does not depend on fresh statistics.
    """
    row = await connection.execute(
        sa.text(f"""
            WITH picked AS MATERIALIZED (
                SELECT id FROM delivery.engagement_queue ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
            ), taken AS MATERIALIZED (
                DELETE FROM delivery.engagement_queue WHERE id = ANY (ARRAY (SELECT id FROM picked))
                RETURNING event, issue_id, seq, day
            ), engaged AS MATERIALIZED (
                SELECT taken.event, taken.issue_id, taken.day, found.subscriber_id
                  FROM taken CROSS JOIN LATERAL (
                       SELECT delivery.subscriber_id FROM delivery.delivery
                        WHERE delivery.issue_id = taken.issue_id AND delivery.seq = taken.seq LIMIT 1
                  ) AS found
            ) {_SET_BITS}
            SELECT count(*) FROM taken
        """),
        {"limit": limit},
    )
    return int(row.scalar_one())


class IssuePass(msgspec.Struct, frozen=True):
    """An issue whose acceptances are not all rolled up, its pass locked by this transaction."""

    issue_id: int
    finished_at: datetime | None
    seq_end: int
    pass_for: datetime | None
    next_seq: int


async def issues_to_roll_up(connection: AsyncConnection, *, limit: int) -> list[int]:
    """Issues that ended since they were rolled up, and issues under way with done chunks that were not rolled up."""
    rows = await connection.execute(
        sa.text("""
            SELECT run.issue_id
              FROM delivery.issue_run AS run
              LEFT JOIN delivery.engagement_pass AS pass USING (issue_id)
             WHERE run.outcomes_removed_at IS NULL
               AND CASE WHEN run.finished_at IS NOT NULL THEN pass.complete_for IS DISTINCT FROM run.finished_at
                        ELSE EXISTS (SELECT FROM delivery.delivery_chunk AS chunk
                                      WHERE chunk.issue_id = run.issue_id AND chunk.status = 'done'
                                        AND NOT coalesce(int4range(chunk.first_seq, chunk.last_seq + 1) <@ pass.rolled,
                                                         false))
                    END
             ORDER BY run.issue_id LIMIT :limit
        """),
        {"limit": limit},
    )
    return list(rows.scalars())


async def lock_pass(connection: AsyncConnection, issue_id: int) -> IssuePass | None:
    """None: another replica has it."""
    await connection.execute(
        sa.text("INSERT INTO delivery.engagement_pass (issue_id) VALUES (:issue_id) ON CONFLICT DO NOTHING"),
        {"issue_id": issue_id},
    )
    row = (
        await connection.execute(
            sa.text("""
                SELECT run.issue_id, run.finished_at, run.next_seq AS seq_end, pass.pass_for, pass.next_seq
                  FROM delivery.engagement_pass AS pass JOIN delivery.issue_run AS run USING (issue_id)
                 WHERE pass.issue_id = :issue_id FOR UPDATE OF pass SKIP LOCKED
            """),
            {"issue_id": issue_id},
        )
    ).one_or_none()
    return None if row is None else IssuePass(*row)


# The accepted among the deliveries of `span` (first_seq, last_seq), each looked up by itself.
_ACCEPTED: Final = f"""
    engaged AS MATERIALIZED (
        SELECT 'received' AS event, CAST(:issue_id AS bigint) AS issue_id, found.subscriber_id,
               CAST(found.settled_at AT TIME ZONE 'UTC' AS date) AS day
          FROM span CROSS JOIN LATERAL (
               SELECT delivery.subscriber_id, outcome.settled_at
                 FROM delivery.delivery_outcome AS outcome JOIN delivery.delivery USING (issue_id, seq)
                WHERE outcome.issue_id = :issue_id AND outcome.seq BETWEEN span.first_seq AND span.last_seq
                  AND outcome.outcome = 'accepted'
          ) AS found
    ) {_SET_BITS}
"""


async def roll_up_done_chunks(connection: AsyncConnection, issue_id: int, *, limit: int) -> int:
    """Of an issue under way. Returns how many chunks were rolled up."""
    row = await connection.execute(
        sa.text(f"""
            WITH span AS MATERIALIZED (
                SELECT chunk.first_seq, chunk.last_seq
                  FROM delivery.delivery_chunk AS chunk, delivery.engagement_pass AS pass
                 WHERE chunk.issue_id = :issue_id AND pass.issue_id = :issue_id AND chunk.status = 'done'
                   AND NOT int4range(chunk.first_seq, chunk.last_seq + 1) <@ pass.rolled
                 ORDER BY chunk.first_seq LIMIT :limit
            ), noted AS (
                UPDATE delivery.engagement_pass
                   SET rolled = rolled + (SELECT coalesce(range_agg(int4range(first_seq, last_seq + 1)),
                                                          CAST('{{}}' AS int4multirange)) FROM span)
                 WHERE issue_id = :issue_id
            ), {_ACCEPTED}
            SELECT count(*) FROM span
        """).bindparams(sa.bindparam("issue_id", type_=sa.BigInteger)),
        {"issue_id": issue_id, "limit": limit},
    )
    return int(row.scalar_one())


async def roll_up_span(connection: AsyncConnection, issue_id: int, *, first_seq: int, last_seq: int) -> None:
    """Both included."""
    await connection.execute(
        sa.text(f"""
            WITH span AS MATERIALIZED (
                SELECT CAST(:first_seq AS integer) AS first_seq, CAST(:last_seq AS integer) AS last_seq
            ), {_ACCEPTED}
            SELECT 1
        """).bindparams(sa.bindparam("issue_id", type_=sa.BigInteger)),
        {"issue_id": issue_id, "first_seq": first_seq, "last_seq": last_seq},
    )


async def note_pass(
    connection: AsyncConnection, issue_id: int, *, pass_for: datetime, next_seq: int, complete: bool
) -> None:
    """How far the pass through an ended issue has come. A later retry begins a new pass when the issue has ended
    again.
    """
    await connection.execute(
        sa.text("""
            UPDATE delivery.engagement_pass
               SET pass_for = :pass_for, next_seq = :next_seq, rolled = '{}',
                   complete_for = CASE WHEN :complete THEN :pass_for ELSE complete_for END
             WHERE issue_id = :issue_id
        """).bindparams(
            sa.bindparam("pass_for", type_=sa.DateTime(timezone=True)), sa.bindparam("complete", type_=sa.Boolean)
        ),
        {"issue_id": issue_id, "pass_for": pass_for, "next_seq": next_seq, "complete": complete},
    )


async def remove_old_days(connection: AsyncConnection, *, limit: int) -> int:
    rows = await connection.execute(
        sa.text("""
            WITH old AS MATERIALIZED (
                SELECT event, day, block FROM delivery.daily_engagement
                 WHERE event = ANY (:events) AND day < CAST(now() AT TIME ZONE 'UTC' AS date) - :days LIMIT :limit
            )
            DELETE FROM delivery.daily_engagement AS kept USING old
             WHERE kept.event = old.event AND kept.day = old.day AND kept.block = old.block
        """).bindparams(sa.bindparam("events", type_=pg.ARRAY(sa.Text)), sa.bindparam("days", type_=sa.Integer)),
        {"events": ["received", "opened", "clicked"], "days": DAYS_KEPT, "limit": limit},
    )
    return rows.rowcount
