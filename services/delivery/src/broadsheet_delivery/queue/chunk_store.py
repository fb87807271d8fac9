"""SQL of the newsletter lane. Every function takes the connection of its caller's transaction."""

import uuid
from collections.abc import Sequence
from datetime import timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.queue.chunk_counts_sql import COUNTERS, counted
from broadsheet_delivery.queue.outcome import Outcome, outcome_columns
from broadsheet_delivery.queue.recipient import NOTHING_USED, Recipient, UsedValues, sendability
from broadsheet_delivery.queue.recipient_sql import (
    RECIPIENT_COLUMNS,
    join_merged,
    join_person,
    merged_columns,
    merged_parameters,
    to_recipient,
)
from broadsheet_delivery.throttle.interface import RESTRAINED

ISSUES_LOOKED_AT_MAX = 1000


class LeasedChunk(msgspec.Struct, frozen=True):
    """A chunk that this worker holds until its lease ends. Every write about it carries `token`; a write with an old
    token is refused. Its deliveries get `variant` of the issue.
    """

    id: int
    issue_id: int
    newsletter_id: int
    first_seq: int
    last_seq: int
    attempt_count: int
    token: uuid.UUID
    traceparent: str
    variant: int = 1


class Settled(msgspec.Struct, frozen=True):
    """The outcome of one delivery, to be stored."""

    seq: int
    outcome: Outcome


class Claimable(msgspec.Struct, frozen=True):
    """Issues that have a chunk to claim now; `growing`: an open issue's fan-out is still running; `restrained`: the
    claim needs a permit. All empty while sending is paused or backing off.
    """

    issue_ids: list[int]
    growing: bool
    restrained: bool


async def claimable_issues(connection: AsyncConnection) -> Claimable:
    """What may be claimed now. Nothing of an issue may be claimed before its preflight has passed."""
    rows = await connection.execute(
        sa.text(f"""
            SELECT run.issue_id, run.fan_out_finished_at IS NULL AS growing, {RESTRAINED} AS restrained,
                   run.preflight_at IS NOT NULL AND EXISTS (
                           SELECT 1 FROM delivery.delivery_chunk AS chunk
                            WHERE chunk.issue_id = run.issue_id AND chunk.status = 'pending'
                              AND chunk.run_at <= now() AND chunk.variant > 0) AS claimable
              FROM delivery.issue_run AS run, delivery.sending_state AS sending
             WHERE run.state = 'open' AND sending.paused_at IS NULL AND sending.back_off_until <= now()
             ORDER BY run.issue_id
             LIMIT :limit
        """),  # a constant
        {"limit": ISSUES_LOOKED_AT_MAX},
    )
    found = rows.all()
    return Claimable(
        [row.issue_id for row in found if row.claimable],
        any(row.growing for row in found),
        any(row.restrained for row in found),
    )


async def lease_chunk(
    connection: AsyncConnection, *, issue_id: int, token: uuid.UUID, lease: timedelta
) -> LeasedChunk | None:
    """Lease the issue's next due chunk, skipping chunks that other workers are claiming. One without a variant waits
    for the winner of an A/B test, whatever its time.
    """
    row = await connection.execute(
        sa.text("""
            WITH picked AS MATERIALIZED (
                SELECT chunk.id
                  FROM delivery.delivery_chunk AS chunk
                 WHERE chunk.issue_id = :issue_id AND chunk.status = 'pending' AND chunk.run_at <= now()
                   AND chunk.variant > 0
                 ORDER BY chunk.run_at, chunk.id
                 LIMIT 1
                   FOR UPDATE SKIP LOCKED
            )
            UPDATE delivery.delivery_chunk AS chunk
               SET status = 'leased', lease_token = :token, lease_until = now() + :lease
              FROM delivery.issue_run AS run
             WHERE chunk.id = ANY (ARRAY (SELECT id FROM picked))
               AND run.issue_id = chunk.issue_id AND run.state = 'open'
            RETURNING chunk.id, chunk.issue_id, run.newsletter_id, chunk.first_seq, chunk.last_seq,
                      chunk.attempt_count, chunk.lease_token AS token, run.traceparent, chunk.variant
        """).bindparams(sa.bindparam("token", type_=pg.UUID), sa.bindparam("lease", type_=sa.Interval)),
        {"issue_id": issue_id, "token": token, "lease": lease},
    )
    found = row.mappings().one_or_none()
    return LeasedChunk(**found) if found else None


async def unsettled_recipients(
    connection: AsyncConnection, chunk: LeasedChunk, *, stream: str, used: UsedValues = NOTHING_USED
) -> list[Recipient]:
    """The chunk's deliveries that have no outcome and were not handed over to the single-mail lane, in order."""
    rows = await connection.execute(
        sa.text(f"""
            SELECT {RECIPIENT_COLUMNS}{merged_columns(used)}
              FROM delivery.delivery AS d
              LEFT JOIN delivery.delivery_outcome AS outcome
                ON outcome.issue_id = d.issue_id AND outcome.seq = d.seq
               AND outcome.seq BETWEEN :first_seq AND :last_seq
               {join_person("d.subscriber_id")}{join_merged("d.subscriber_id", used)}
            WHERE d.issue_id = :issue_id AND d.seq BETWEEN :first_seq AND :last_seq
               AND outcome.seq IS NULL
               AND NOT EXISTS (SELECT 1 FROM delivery.single_mail AS alone
                                WHERE alone.issue_id = d.issue_id AND alone.seq = d.seq
                                  AND alone.seq BETWEEN :first_seq AND :last_seq)
             ORDER BY d.seq
        """),
        {
            "newsletter_id": chunk.newsletter_id,
            "stream": stream,
            "issue_id": chunk.issue_id,
            "first_seq": chunk.first_seq,
            "last_seq": chunk.last_seq,
            **merged_parameters(used),
        },
    )
    return [to_recipient(row, used) for row in rows]


async def no_longer_sendable(
    connection: AsyncConnection, *, newsletter_id: int, stream: str, subscriber_ids: Sequence[int]
) -> dict[int, Outcome]:
    """Those of these subscribers that must not be sent to any more, and why: the check just before the call."""
    rows = await connection.execute(
        sa.text(f"""
            SELECT wanted.subscriber_id, person.state, suppression.reason AS suppression_reason
              FROM unnest(CAST(:subscriber_ids AS bigint[])) AS wanted (subscriber_id)
               {join_person("wanted.subscriber_id")}
            WHERE person.state IS DISTINCT FROM 'confirmed' OR suppression.reason IS NOT NULL
        """),
        {"newsletter_id": newsletter_id, "stream": stream, "subscriber_ids": list(subscriber_ids)},
    )
    found: dict[int, Outcome] = {}
    for row in rows:
        outcome = sendability(row.state, row.suppression_reason)
        if outcome is not None:
            found[row.subscriber_id] = outcome
    return found


async def start_chunk(
    connection: AsyncConnection, chunk: LeasedChunk, *, attempt_id: uuid.UUID, lease: timedelta
) -> bool:
    """Commit to a call: from here on the mails may have been sent. False: the lease is lost, or sending is stopped."""
    row = await connection.execute(
        sa.text("""
            UPDATE delivery.delivery_chunk AS chunk
               SET status = 'attempting', attempt_id = :attempt_id, attempt_count = chunk.attempt_count + 1,
                   reconcile_count = 0, lease_until = now() + :lease
              FROM delivery.issue_run AS run, delivery.sending_state AS sending
             WHERE chunk.id = :id AND chunk.status = 'leased' AND chunk.lease_token = :token
               AND chunk.lease_until > now()
               AND run.issue_id = chunk.issue_id AND run.state = 'open' AND run.preflight_at IS NOT NULL
               AND sending.paused_at IS NULL AND sending.back_off_until <= now()
               AND (sending.back_off_count = 0 OR sending.probe_token = chunk.lease_token)
            RETURNING 1
        """).bindparams(
            sa.bindparam("attempt_id", type_=pg.UUID),
            sa.bindparam("token", type_=pg.UUID),
            sa.bindparam("lease", type_=sa.Interval),
        ),
        {"id": chunk.id, "token": chunk.token, "attempt_id": attempt_id, "lease": lease},
    )
    return row.first() is not None


async def insert_outcomes(
    connection: AsyncConnection, *, issue_id: int, attempt_id: uuid.UUID | None, settled: Sequence[Settled]
) -> None:
    """Append outcomes. A delivery that already has one keeps it."""
    if not settled:
        return
    columns = [outcome_columns(one.outcome) for one in settled]
    await connection.execute(
        sa.text("""
            INSERT INTO delivery.delivery_outcome (issue_id, seq, outcome, attempt_id, message_id, error_code, reason)
            SELECT :issue_id, seq, outcome, :attempt_id, message_id, error_code, reason
              FROM unnest(CAST(:seqs AS integer[]), CAST(:outcomes AS text[]), CAST(:message_ids AS uuid[]),
                          CAST(:error_codes AS integer[]), CAST(:reasons AS text[]))
                   AS settled (seq, outcome, message_id, error_code, reason)
            ON CONFLICT DO NOTHING
        """).bindparams(sa.bindparam("attempt_id", type_=pg.UUID)),
        {
            "issue_id": issue_id,
            "attempt_id": attempt_id,
            "seqs": [one.seq for one in settled],
            "outcomes": [column[0] for column in columns],
            "message_ids": [column[1] for column in columns],
            "error_codes": [column[2] for column in columns],
            "reasons": [column[3] for column in columns],
        },
    )


_GIVEN_RANGE = """
          SELECT CAST(:issue_id AS bigint) AS issue_id, CAST(:first_seq AS integer) AS first_seq,
                 CAST(:last_seq AS integer) AS last_seq"""
_RECOUNT = f"""
    UPDATE delivery.delivery_chunk AS chunk
       SET {COUNTERS},
           status = CASE WHEN counted.settled = chunk.last_seq - chunk.first_seq + 1
                         THEN 'done' ELSE CAST(:status AS text) END,
           parked_at = CASE WHEN counted.settled < chunk.last_seq - chunk.first_seq + 1 AND :status = 'uncertain'
                            THEN chunk.parked_at END,
           run_at = now() + :wait,
           reconcile_count = chunk.reconcile_count + :searches,
           lease_token = NULL, lease_until = NULL
      FROM {counted(_GIVEN_RANGE)}
     WHERE chunk.id = :id AND {{guard}}
    RETURNING chunk.status
"""  # built from the constants above
_RECOUNT_HELD = _RECOUNT.format(guard="chunk.status = 'attempting' AND chunk.lease_token = :guard")
_RECOUNT_LEASED = _RECOUNT.format(guard="chunk.status = 'leased' AND chunk.lease_token = :guard")
_RECOUNT_UNCERTAIN = _RECOUNT.format(guard="chunk.status = 'uncertain' AND chunk.attempt_id = :guard")


class ChunkRange(msgspec.Struct, frozen=True):
    """The deliveries of a chunk: `first_seq` to `last_seq` of an issue."""

    id: int
    issue_id: int
    first_seq: int
    last_seq: int


async def _recount(
    connection: AsyncConnection,
    statement: str,
    chunk: ChunkRange,
    guard: uuid.UUID,
    *,
    status: str,
    wait_s: float,
    searches: int = 0,
) -> bool:
    row = await connection.execute(
        sa.text(statement).bindparams(sa.bindparam("guard", type_=pg.UUID), sa.bindparam("wait", type_=sa.Interval)),
        {
            "id": chunk.id,
            "issue_id": chunk.issue_id,
            "first_seq": chunk.first_seq,
            "last_seq": chunk.last_seq,
            "guard": guard,
            "status": status,
            "wait": timedelta(seconds=wait_s),
            "searches": searches,
        },
    )
    return row.first() is not None


def range_of(chunk: LeasedChunk) -> ChunkRange:
    return ChunkRange(chunk.id, chunk.issue_id, chunk.first_seq, chunk.last_seq)


async def end_attempt(connection: AsyncConnection, chunk: LeasedChunk, *, status: str, wait_s: float) -> bool:
    """After a call: `done` if every delivery has an outcome, else `status` (pending or uncertain). False: the lease
    is lost.
    """
    return await _recount(connection, _RECOUNT_HELD, range_of(chunk), chunk.token, status=status, wait_s=wait_s)


async def release_chunk(connection: AsyncConnection, chunk: LeasedChunk, *, wait_s: float = 0.0) -> bool:
    """Before a call was begun: give the chunk back, or end it if nothing in it is left to send."""
    return await _recount(connection, _RECOUNT_LEASED, range_of(chunk), chunk.token, status="pending", wait_s=wait_s)


async def settle_uncertain(
    connection: AsyncConnection,
    chunk: ChunkRange,
    *,
    attempt_id: uuid.UUID,
    still_uncertain: bool,
    wait_s: float,
) -> bool:
    """After asking the search: `done`, still `uncertain`, or `pending` again. False: it was settled elsewhere
    meanwhile.
    """
    status = "uncertain" if still_uncertain else "pending"
    return await _recount(connection, _RECOUNT_UNCERTAIN, chunk, attempt_id, status=status, wait_s=wait_s, searches=1)


async def split_leased_chunk(connection: AsyncConnection, chunk: LeasedChunk, *, last_seq: int) -> bool:
    """Keep `first_seq` to `last_seq` in a leased chunk; the rest becomes a new pending chunk."""
    return await _split(connection, chunk, last_seq, status="leased")


async def split_attempted_chunk(connection: AsyncConnection, chunk: LeasedChunk, *, last_seq: int) -> bool:
    """The same after a call that was refused for its size. The caller still ends the kept part."""
    return await _split(connection, chunk, last_seq, status="attempting")


async def _split(connection: AsyncConnection, chunk: LeasedChunk, last_seq: int, *, status: str) -> bool:
    rows = await connection.execute(
        sa.text("""
            WITH kept AS (
                UPDATE delivery.delivery_chunk
                   SET last_seq = :last_seq, accepted_count = 0, failed_count = 0, suppressed_count = 0,
                       excluded_count = 0, cancelled_count = 0, handed_over_count = 0
                 WHERE id = :id AND status = :status AND lease_token = :token
                   AND first_seq <= :last_seq AND last_seq = :old_last_seq AND :last_seq < :old_last_seq
                RETURNING id, issue_id, enqueued_at, variant
            ), rest AS (
                INSERT INTO delivery.delivery_chunk (issue_id, first_seq, last_seq, enqueued_at, variant)
                SELECT issue_id, :last_seq + 1, :old_last_seq, enqueued_at, variant FROM kept
                RETURNING id
            )
            SELECT id FROM kept UNION ALL SELECT id FROM rest
        """).bindparams(sa.bindparam("token", type_=pg.UUID)),
        {
            "id": chunk.id,
            "status": status,
            "token": chunk.token,
            "last_seq": last_seq,
            "old_last_seq": chunk.last_seq,
        },
    )
    halves = list(rows.scalars())
    # Each half counts its own deliveries: those settled by an earlier attempt may fall on either side.
    for half in halves:
        await connection.execute(
            sa.text(f"""
                UPDATE delivery.delivery_chunk AS chunk
                   SET {COUNTERS}
                  FROM {counted("SELECT issue_id, first_seq, last_seq FROM delivery.delivery_chunk WHERE id = :id")}
                 WHERE chunk.id = :id
            """),  # built from the constants above
            {"id": half},
        )
    return bool(halves)


async def hand_over(
    connection: AsyncConnection,
    chunk: LeasedChunk,
    *,
    seqs: Sequence[int],
    attempt_id: uuid.UUID,
    uncertain: bool,
    wait_s: float,
) -> None:
    """Hand these deliveries over to the single-mail lane: pending after `wait_s`, or uncertain under the attempt
    they were part of.

    Not if the chunk has a new owner meanwhile: these deliveries are then part of that owner's call.
    """
    if not seqs:
        return
    await connection.execute(
        sa.text("""
            INSERT INTO delivery.single_mail
                   (kind, dedupe_key, issue_id, seq, status, attempt_count, attempt_id, run_at, traceparent)
            SELECT 'newsletter', 'newsletter:' || :issue_id || ':' || seq, :issue_id, seq,
                   :status, 1, CASE WHEN :status = 'uncertain' THEN CAST(:attempt_id AS uuid) END, now() + :wait,
                   :traceparent
              FROM unnest(CAST(:seqs AS integer[])) AS seq
             WHERE EXISTS (SELECT 1 FROM delivery.delivery_chunk AS chunk
                            WHERE chunk.id = :chunk_id AND chunk.attempt_id = :attempt_id
                              AND chunk.status IN ('attempting', 'uncertain'))
            ON CONFLICT (dedupe_key) DO NOTHING
        """).bindparams(
            sa.bindparam("attempt_id", type_=pg.UUID),
            sa.bindparam("wait", type_=sa.Interval),
            sa.bindparam("issue_id", type_=sa.BigInteger),
            sa.bindparam("status", type_=sa.Text),
        ),
        {
            "issue_id": chunk.issue_id,
            "chunk_id": chunk.id,
            "seqs": list(seqs),
            "status": "uncertain" if uncertain else "pending",
            "attempt_id": attempt_id,
            "wait": timedelta(seconds=wait_s),
            "traceparent": chunk.traceparent,
        },
    )
