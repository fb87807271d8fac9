"""SQL of operators' decisions about deliveries: append-only records, and their effects."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

Choice = Literal["mark_sent", "send_again", "give_up"]
Action = Literal["mark_sent", "send_again", "give_up", "cancel", "retry_failed"]


class Decision(msgspec.Struct, frozen=True):
    """`ranges`: the deliveries it was about, as [first, last] of their numbers in the issue; null: the whole issue."""

    id: int
    issue_id: int
    action: Action
    ranges: list[list[int]] | None
    decided_by: str
    note: str | None
    decided_at: datetime


class ParkedDelivery(msgspec.Struct, frozen=True):
    """Where one parked delivery is: in its chunk, or (`mail_id`) in the single-mail lane. Locked."""

    chunk_id: int
    mail_id: int | None


async def record_decision(
    connection: AsyncConnection,
    *,
    issue_id: int,
    action: Action,
    seqs: Sequence[int],
    decided_by: str,
    note: str | None,
) -> int:
    row = await connection.execute(
        sa.text("""
            INSERT INTO delivery.operator_action (issue_id, action, seqs, decided_by, note)
            SELECT :issue_id, :action, range_agg(int4range(seq, seq, '[]')), :decided_by, :note
              FROM unnest(CAST(:seqs AS integer[])) AS seq
            RETURNING id
        """),
        {"issue_id": issue_id, "action": action, "seqs": list(seqs), "decided_by": decided_by, "note": note},
    )
    return int(row.scalar_one())


async def issue_decisions(
    connection: AsyncConnection, *, issue_id: int, after_id: int, limit: int, seq: int | None = None
) -> list[Decision]:
    """Oldest first; with `seq` those that were about this delivery."""
    rows = await connection.execute(
        sa.text("""
            SELECT id, issue_id, action,
                   (SELECT json_agg(json_build_array(lower(one), upper(one) - 1) ORDER BY lower(one))
                      FROM unnest(seqs) AS one) AS ranges,
                   decided_by, note, decided_at
              FROM delivery.operator_action
             WHERE issue_id = :issue_id AND id > :after_id
               AND (CAST(:seq AS integer) IS NULL OR seqs IS NULL OR seqs @> CAST(:seq AS integer))
             ORDER BY id LIMIT :limit
        """),
        {"issue_id": issue_id, "after_id": after_id, "seq": seq, "limit": limit},
    )
    return [Decision(**row) for row in rows.mappings()]


async def lock_parked_delivery(connection: AsyncConnection, *, issue_id: int, seq: int) -> ParkedDelivery | None:
    """Find and lock a delivery that is parked now; None if it is not."""
    chunk = (
        await connection.execute(
            sa.text("""
                SELECT id, status, parked_at FROM delivery.delivery_chunk
                 WHERE issue_id = :issue_id AND first_seq <= :seq AND last_seq >= :seq
                 ORDER BY first_seq DESC LIMIT 1 FOR UPDATE
            """),
            {"issue_id": issue_id, "seq": seq},
        )
    ).one_or_none()
    if chunk is None:
        return None
    # Read behind the lock: this snapshot shows what was settled meanwhile.
    alone = (
        await connection.execute(
            sa.text("""
                SELECT id, status, parked_at FROM delivery.single_mail
                 WHERE issue_id = :issue_id AND seq = :seq FOR UPDATE
            """),
            {"issue_id": issue_id, "seq": seq},
        )
    ).one_or_none()
    held = alone or chunk
    settled = await connection.execute(
        sa.text("SELECT 1 FROM delivery.delivery_outcome WHERE issue_id = :issue_id AND seq = :seq"),
        {"issue_id": issue_id, "seq": seq},
    )
    if held.status != "uncertain" or held.parked_at is None or settled.first() is not None:
        return None
    return ParkedDelivery(chunk.id, alone.id if alone else None)


async def pick_parked_mails(connection: AsyncConnection, *, issue_id: int, limit: int) -> dict[int, int]:
    """Some of the issue's parked mails in the single-mail lane, locked: number of the delivery by id of the mail."""
    rows = await connection.execute(
        sa.text("""
            SELECT id, seq FROM delivery.single_mail
             WHERE issue_id = :issue_id AND status = 'uncertain' AND parked_at IS NOT NULL
             ORDER BY id LIMIT :limit FOR UPDATE
        """),
        {"issue_id": issue_id, "limit": limit},
    )
    return {row.id: row.seq for row in rows}


async def insert_decided_outcomes(
    connection: AsyncConnection,
    *,
    issue_id: int,
    seqs: Sequence[int],
    outcome: Literal["accepted", "failed"],
    reason: str,
    decision_id: int,
) -> None:
    await connection.execute(
        sa.text("""
            INSERT INTO delivery.delivery_outcome (issue_id, seq, outcome, reason, decision_id)
            SELECT :issue_id, seq, :outcome, :reason, :decision_id FROM unnest(CAST(:seqs AS integer[])) AS seq
        """),
        {"issue_id": issue_id, "seqs": list(seqs), "outcome": outcome, "reason": reason, "decision_id": decision_id},
    )


async def settle_decided_mails(
    connection: AsyncConnection, *, ids: Sequence[int], status: Literal["accepted", "failed"], reason: str
) -> None:
    await connection.execute(
        sa.text("""
            UPDATE delivery.single_mail
               SET status = :status, reason = :reason, settled_at = now(), parked_at = NULL
             WHERE id = ANY (CAST(:ids AS bigint[])) AND status = 'uncertain'
        """),
        {"ids": list(ids), "status": status, "reason": reason},
    )


async def send_mails_again(connection: AsyncConnection, *, ids: Sequence[int]) -> None:
    await connection.execute(
        sa.text("""
            UPDATE delivery.single_mail SET status = 'pending', run_at = now(), parked_at = NULL
             WHERE id = ANY (CAST(:ids AS bigint[])) AND status = 'uncertain'
        """),
        {"ids": list(ids)},
    )


async def send_alone_again(connection: AsyncConnection, *, issue_id: int, seq: int) -> None:
    """Hand one delivery of an uncertain chunk over to the single-mail lane, to be sent."""
    await connection.execute(
        sa.text("""
            INSERT INTO delivery.single_mail (kind, dedupe_key, issue_id, seq, attempt_count, traceparent)
            SELECT 'newsletter', 'newsletter:' || run.issue_id || ':' || :seq, run.issue_id, :seq, 1, run.traceparent
              FROM delivery.issue_run AS run WHERE run.issue_id = :issue_id
            ON CONFLICT (dedupe_key) DO NOTHING
        """).bindparams(sa.bindparam("seq", type_=sa.Integer)),
        {"issue_id": issue_id, "seq": seq},
    )


async def wake_senders(connection: AsyncConnection, *, issue_id: int) -> None:
    await connection.execute(
        sa.text("SELECT pg_notify('broadsheet_delivery_wake', CAST(:issue_id AS text))"), {"issue_id": str(issue_id)}
    )


async def archive_failed(
    connection: AsyncConnection, *, issue_id: int, seqs: Sequence[int], decision_id: int
) -> list[int]:
    """Move these failed outcomes into the history. Returns which were moved."""
    rows = await connection.execute(
        sa.text("SELECT delivery.archive_failed_outcomes(:issue_id, CAST(:seqs AS integer[]), :decision_id)"),
        {"issue_id": issue_id, "seqs": list(seqs), "decision_id": decision_id},
    )
    return list(rows.scalars())


async def pick_failed_mails(
    connection: AsyncConnection, *, issue_id: int, after_id: int, limit: int
) -> list[tuple[int, int]]:
    """Failed mails in the single-mail lane that no operator gave up, locked: (id, number of the delivery)."""
    rows = await connection.execute(
        sa.text("""
            SELECT mail.id, mail.seq
              FROM delivery.single_mail AS mail
              JOIN LATERAL (
                   SELECT 1 FROM delivery.delivery_outcome AS found
                    WHERE found.issue_id = :issue_id AND found.seq = mail.seq
                      AND found.outcome = 'failed' AND found.decision_id IS NULL LIMIT 1
              ) AS outcome ON true
             WHERE mail.issue_id = :issue_id AND mail.status = 'failed' AND mail.id > :after_id
             ORDER BY mail.id LIMIT :limit FOR UPDATE OF mail
        """),
        {"issue_id": issue_id, "after_id": after_id, "limit": limit},
    )
    return [(row.id, row.seq) for row in rows]


async def reopen_mails(connection: AsyncConnection, *, ids: Sequence[int]) -> None:
    await connection.execute(
        sa.text("""
            UPDATE delivery.single_mail
               SET status = 'pending', settled_at = NULL, run_at = now(), attempt_count = 0,
                   error_code = NULL, reason = NULL
             WHERE id = ANY (CAST(:ids AS bigint[])) AND status = 'failed'
        """),
        {"ids": list(ids)},
    )


class RunToRetry(msgspec.Struct, frozen=True):
    state: str
    work_is_kept: bool


async def lock_run(connection: AsyncConnection, *, issue_id: int) -> RunToRetry | None:
    row = await connection.execute(
        sa.text("""
            SELECT state, frozen_counts IS NULL AS work_is_kept FROM delivery.issue_run
             WHERE issue_id = :issue_id FOR UPDATE
        """),
        {"issue_id": issue_id},
    )
    found = row.one_or_none()
    return RunToRetry(*found) if found else None


async def reopen_run(connection: AsyncConnection, *, issue_id: int) -> None:
    """A finished issue has deliveries to send again."""
    await connection.execute(
        sa.text("""
            UPDATE delivery.issue_run SET state = 'open', finished_at = NULL
             WHERE issue_id = :issue_id AND state = 'finished'
        """),
        {"issue_id": issue_id},
    )
