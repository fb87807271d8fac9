"""SQL behind the API's view of deliveries: one row a recipient, with where it stands."""

import uuid
from datetime import datetime
from typing import Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

DeliveryStatus = Literal[
    "pending", "in_flight", "accepted", "failed", "suppressed", "excluded", "uncertain", "cancelled"
]


class DeliveryRow(msgspec.Struct, frozen=True):
    seq: int
    subscriber_id: int
    status: DeliveryStatus
    message_id: uuid.UUID | None
    attempt_id: uuid.UUID | None
    error_code: int | None
    reason: str | None
    settled_at: datetime | None


async def issue_deliveries(
    connection: AsyncConnection, *, issue_id: int, after_seq: int, limit: int, status: DeliveryStatus | None
) -> list[DeliveryRow]:
    """Deliveries of an issue behind `after_seq`, in order; `status` filters."""
    rows = await connection.execute(
        sa.text("""
            SELECT * FROM (
                SELECT d.seq, d.subscriber_id,
                       coalesce(outcome.outcome,
                                CASE coalesce(alone.status, chunk.status)
                                     WHEN 'leased' THEN 'in_flight' WHEN 'attempting' THEN 'in_flight'
                                     WHEN 'expired' THEN 'cancelled'
                                     ELSE coalesce(alone.status, chunk.status) END) AS status,
                       outcome.message_id,
                       coalesce(outcome.attempt_id, alone.attempt_id, chunk.attempt_id) AS attempt_id,
                       coalesce(outcome.error_code, alone.error_code) AS error_code,
                       coalesce(outcome.reason, alone.reason) AS reason,
                       outcome.settled_at
                  FROM delivery.delivery AS d
                  LEFT JOIN delivery.delivery_outcome AS outcome
                    ON outcome.issue_id = d.issue_id AND outcome.seq = d.seq
                  LEFT JOIN LATERAL (
                       SELECT c.status, c.attempt_id FROM delivery.delivery_chunk AS c
                        WHERE c.issue_id = d.issue_id AND c.first_seq <= d.seq
                        ORDER BY c.first_seq DESC LIMIT 1
                  ) AS chunk ON outcome.seq IS NULL
                  LEFT JOIN delivery.single_mail AS alone
                    ON outcome.seq IS NULL AND alone.issue_id = d.issue_id AND alone.seq = d.seq
                 WHERE d.issue_id = :issue_id AND d.seq > :after_seq
            ) AS standing
             WHERE CAST(:status AS text) IS NULL OR standing.status = :status
             ORDER BY seq
             LIMIT :limit
        """).bindparams(sa.bindparam("status", type_=sa.Text)),
        {"issue_id": issue_id, "after_seq": after_seq, "limit": limit, "status": status},
    )
    return [DeliveryRow(**row) for row in rows.mappings()]


class ReplicaRow(msgspec.Struct, frozen=True):
    """A delivery process: `seen_at` is its last heartbeat, by the database's clock."""

    id: uuid.UUID
    host: str
    pid: int
    version: str
    started_at: datetime
    seen_at: datetime
    draining: bool


async def live_replicas(connection: AsyncConnection, *, limit: int) -> list[ReplicaRow]:
    """Replicas that said so within the last 30 s and have not left."""
    rows = await connection.execute(
        sa.text("""
            SELECT id, host, pid, version, started_at, seen_at, draining
              FROM delivery.replica
             WHERE stopped_at IS NULL AND seen_at > now() - interval '30 seconds'
             ORDER BY started_at, id
             LIMIT :limit
        """),
        {"limit": limit},
    )
    return [ReplicaRow(**row) for row in rows.mappings()]
