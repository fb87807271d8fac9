"""SQL of the API's lists of deliveries: one row a recipient, with its status."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

DeliveryStatus = Literal[
    "pending", "in_flight", "accepted", "failed", "suppressed", "excluded", "uncertain", "cancelled"
]


class DeliveryRow(msgspec.Struct, frozen=True):
    """`parked`: uncertain for so long that it waits for an operator's decision."""

    issue_id: int
    seq: int
    subscriber_id: int
    status: DeliveryStatus
    parked: bool
    message_id: uuid.UUID | None
    attempt_id: uuid.UUID | None
    error_code: int | None
    reason: str | None
    settled_at: datetime | None
    queued_at: datetime | None


_STANDING = """
    SELECT d.issue_id, d.seq, d.subscriber_id,
           coalesce(outcome.outcome,
                    CASE coalesce(alone.status, chunk.status)
                         WHEN 'leased' THEN 'in_flight' WHEN 'attempting' THEN 'in_flight'
                         WHEN 'expired' THEN 'cancelled'
                         ELSE coalesce(alone.status, chunk.status) END) AS status,
           outcome.seq IS NULL AND coalesce(alone.status, chunk.status) = 'uncertain'
               AND CASE WHEN alone.status IS NULL THEN chunk.parked_at ELSE alone.parked_at END IS NOT NULL AS parked,
           outcome.message_id,
           CASE WHEN outcome.seq IS NULL THEN coalesce(alone.attempt_id, chunk.attempt_id)
                ELSE outcome.attempt_id END AS attempt_id,
           coalesce(outcome.error_code, alone.error_code) AS error_code,
           coalesce(outcome.reason, alone.reason) AS reason,
           outcome.settled_at,
           coalesce(chunk.enqueued_at, run.opened_at) AS queued_at
      FROM {deliveries}
      JOIN delivery.issue_run AS run ON run.issue_id = d.issue_id
      LEFT JOIN LATERAL (
           SELECT found.* FROM delivery.delivery_outcome AS found
            WHERE found.issue_id = d.issue_id AND found.seq = d.seq LIMIT 1
      ) AS outcome ON true
      LEFT JOIN LATERAL (
           SELECT c.status, c.attempt_id, c.parked_at, c.enqueued_at FROM delivery.delivery_chunk AS c
            WHERE c.issue_id = d.issue_id AND c.first_seq <= d.seq
            ORDER BY c.first_seq DESC LIMIT 1
      ) AS chunk ON true
      LEFT JOIN delivery.single_mail AS alone
        ON outcome.seq IS NULL AND alone.issue_id = d.issue_id AND alone.seq = d.seq
"""

# `LIMIT` keeps Postgres from walking the whole issue in the order of `seq` instead.
_OF_SUBSCRIBERS = """(
    SELECT found.issue_id, found.seq, found.subscriber_id
      FROM unnest(CAST(:subscriber_ids AS bigint[])) AS wanted (id)
     CROSS JOIN LATERAL (
           SELECT one.* FROM delivery.delivery AS one
            WHERE one.issue_id = :issue_id AND one.subscriber_id = wanted.id LIMIT 1
     ) AS found
) AS d"""


async def issue_deliveries(
    connection: AsyncConnection,
    *,
    issue_id: int,
    after_seq: int,
    limit: int,
    status: DeliveryStatus | None,
    subscriber_ids: Sequence[int] | None = None,
) -> list[DeliveryRow]:
    """Deliveries of an issue after `after_seq`, in order; `status` filters, and so do `subscriber_ids`, each of which
    is one index look-up.
    """
    deliveries = "delivery.delivery AS d" if subscriber_ids is None else _OF_SUBSCRIBERS
    given = {} if subscriber_ids is None else {"subscriber_ids": sorted(set(subscriber_ids))}
    rows = await connection.execute(
        sa.text(f"""
            SELECT * FROM (
                {_STANDING.format(deliveries=deliveries)}
                 WHERE d.issue_id = :issue_id AND d.seq > :after_seq
            ) AS standing
             WHERE CAST(:status AS text) IS NULL OR standing.status = :status
             ORDER BY seq
             LIMIT :limit
        """).bindparams(sa.bindparam("status", type_=sa.Text)),  # built from constants
        {"issue_id": issue_id, "after_seq": after_seq, "limit": limit, "status": status, **given},
    )
    return [DeliveryRow(**row) for row in rows.mappings()]


async def find_delivery(connection: AsyncConnection, *, issue_id: int, seq: int) -> DeliveryRow | None:
    rows = await connection.execute(
        sa.text(f"""
            {_STANDING.format(deliveries="delivery.delivery AS d")}
             WHERE d.issue_id = :issue_id AND d.seq = :seq
        """),  # built from constants
        {"issue_id": issue_id, "seq": seq},
    )
    found = rows.mappings().one_or_none()
    return DeliveryRow(**found) if found else None


async def subscriber_deliveries(
    connection: AsyncConnection, *, subscriber_id: int, before_issue_id: int, limit: int
) -> list[DeliveryRow]:
    """Deliveries to one subscriber, the newest issue first: one index look-up per issue."""
    of_subscriber = """(
        SELECT found.issue_id, found.seq, found.subscriber_id
          FROM delivery.issue_run AS of_issue
         CROSS JOIN LATERAL (
               SELECT one.* FROM delivery.delivery AS one
                WHERE one.issue_id = of_issue.issue_id AND one.subscriber_id = :subscriber_id LIMIT 1
         ) AS found
         WHERE of_issue.issue_id < :before_issue_id
         ORDER BY of_issue.issue_id DESC LIMIT :limit
    ) AS d"""
    rows = await connection.execute(
        sa.text(f"{_STANDING.format(deliveries=of_subscriber)} ORDER BY d.issue_id DESC"),  # built from constants
        {"subscriber_id": subscriber_id, "before_issue_id": before_issue_id, "limit": limit},
    )
    return [DeliveryRow(**row) for row in rows.mappings()]
