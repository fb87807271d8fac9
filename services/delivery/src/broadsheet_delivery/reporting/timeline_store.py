"""SQL of a delivery's timeline: the calls that carried it, earlier outcomes, the provider's events."""

import uuid
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

SHOWN_MAX = 200
"""Attempts, outcomes or events of one delivery; the newest ones."""


class AttemptRow(msgspec.Struct, frozen=True):
    """A call that carried the delivery. `verdict` null: under way, or its process died."""

    id: uuid.UUID
    started_at: datetime
    replica_id: uuid.UUID
    replica_host: str | None
    message_count: int
    verdict: str | None
    http_status: int | None
    error_code: int | None
    detail: str | None
    ended_at: datetime | None


class EarlierOutcomeRow(msgspec.Struct, frozen=True):
    """An outcome that was set aside so that the delivery could be tried again."""

    outcome: str
    attempt_id: uuid.UUID | None
    error_code: int | None
    reason: str | None
    settled_at: datetime
    retried_at: datetime


class ProviderEventRow(msgspec.Struct, frozen=True):
    """An event from Postmark about the mail: Delivery, Bounce, Open, Click, SpamComplaint, SubscriptionChange."""

    record_type: str
    occurred_at: datetime
    received_at: datetime
    detail: Any


async def attempts_of(connection: AsyncConnection, *, issue_id: int, seq: int) -> list[AttemptRow]:
    """Oldest first. A call from before the numbers were kept is found by its chunk."""
    rows = await connection.execute(
        sa.text("""
            SELECT * FROM (
                SELECT attempt.id, attempt.started_at, attempt.replica_id, replica.host AS replica_host,
                       attempt.message_count, ended.verdict, ended.http_status, ended.error_code, ended.detail,
                       ended.ended_at
                  FROM delivery.send_attempt AS attempt
                  LEFT JOIN delivery.send_attempt_end AS ended ON ended.attempt_id = attempt.id
                  LEFT JOIN delivery.replica AS replica ON replica.id = attempt.replica_id
                 WHERE attempt.issue_id = :issue_id
                   AND CASE WHEN attempt.first_seq IS NOT NULL
                            THEN :seq BETWEEN attempt.first_seq AND attempt.last_seq
                                 AND (attempt.seqs IS NULL OR :seq = ANY (attempt.seqs))
                            ELSE EXISTS (SELECT 1 FROM delivery.delivery_chunk AS chunk
                                          WHERE chunk.id = attempt.chunk_id
                                            AND :seq BETWEEN chunk.first_seq AND chunk.last_seq) END
                 ORDER BY attempt.started_at DESC, attempt.id LIMIT :limit
            ) AS newest ORDER BY started_at, id
        """).bindparams(sa.bindparam("seq", type_=sa.Integer)),
        {"issue_id": issue_id, "seq": seq, "limit": SHOWN_MAX},
    )
    return [AttemptRow(**row) for row in rows.mappings()]


async def earlier_outcomes_of(connection: AsyncConnection, *, issue_id: int, seq: int) -> list[EarlierOutcomeRow]:
    rows = await connection.execute(
        sa.text("""
            SELECT outcome, attempt_id, error_code, reason, settled_at, retried_at
              FROM delivery.outcome_history
             WHERE issue_id = :issue_id AND seq = :seq ORDER BY id LIMIT :limit
        """),
        {"issue_id": issue_id, "seq": seq, "limit": SHOWN_MAX},
    )
    return [EarlierOutcomeRow(**row) for row in rows.mappings()]


async def provider_events_of(
    connection: AsyncConnection, *, issue_id: int, seq: int, message_id: uuid.UUID | None
) -> list[ProviderEventRow]:
    """In the order in which they happened, whatever the order of arrival.

    Events carry our metadata (issue and number), or only the MessageID where Postmark leaves the metadata out.
    """
    rows = await connection.execute(
        sa.text("""
            SELECT record_type, occurred_at, received_at, detail FROM (
                SELECT id, record_type, occurred_at, received_at, detail FROM delivery.provider_event
                 WHERE issue_id = :issue_id AND seq = :seq
                UNION
                SELECT id, record_type, occurred_at, received_at, detail FROM delivery.provider_event
                 WHERE message_id = :message_id
            ) AS found
             ORDER BY occurred_at, id LIMIT :limit
        """).bindparams(sa.bindparam("message_id", type_=sa.UUID)),
        {"issue_id": issue_id, "seq": seq, "message_id": message_id, "limit": SHOWN_MAX},
    )
    return [ProviderEventRow(**row) for row in rows.mappings()]
