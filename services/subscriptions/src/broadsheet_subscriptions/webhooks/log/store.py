"""The SQL of the delivery log, and of deliveries that people add to the queue, on the caller's connection."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_subscriptions.webhooks.sending.event import MessageType

DeliveryStatus = Literal["waiting", "delivered", "failed", "cancelled"]
ATTEMPTS_SHOWN_MAX: Final = 20


class AttemptRow(msgspec.Struct, frozen=True):
    recorded_at: datetime
    duration_ms: int
    http_status: int | None
    error: str | None
    answer: str | None


class DeliveryRow(msgspec.Struct, frozen=True):
    """`under_way`: an attempt is being made, judging by its lease."""

    id: int
    endpoint_id: int
    message_id: UUID
    type: MessageType
    subscriber_id: int | None
    newsletter_id: int | None
    occurred_at: datetime
    status: DeliveryStatus
    run_at: datetime
    under_way: bool
    settled_at: datetime | None


_COLUMNS: Final = """
    id, endpoint_id, message_id, type, subscriber_id, newsletter_id, occurred_at, status, run_at,
    coalesce(lease_token IS NOT NULL AND run_at > now(), false) AS under_way, settled_at
"""


async def list_deliveries(
    connection: AsyncConnection, *, endpoint_id: int, status: DeliveryStatus | None, before_id: int | None, limit: int
) -> list[DeliveryRow]:
    """Newest first."""
    rows = await connection.execute(
        sa.text(f"""
            SELECT {_COLUMNS} FROM subscriptions.webhook_delivery
             WHERE endpoint_id = :endpoint_id
               AND (:status IS NULL OR status = :status)
               AND (:before_id IS NULL OR id < :before_id)
             ORDER BY id DESC LIMIT :limit
        """).bindparams(sa.bindparam("before_id", type_=sa.BigInteger), sa.bindparam("status", type_=sa.Text)),
        {"endpoint_id": endpoint_id, "status": status, "before_id": before_id, "limit": limit},
    )
    return [DeliveryRow(*row) for row in rows]


async def find_delivery(connection: AsyncConnection, delivery_id: int, *, lock: bool = False) -> DeliveryRow | None:
    """None also if its endpoint was deleted."""
    rows = await connection.execute(
        sa.text(f"""
            SELECT {_COLUMNS} FROM subscriptions.webhook_delivery AS delivery
             WHERE id = :id AND EXISTS (
                   SELECT FROM subscriptions.webhook_endpoint AS endpoint
                    WHERE endpoint.id = delivery.endpoint_id AND endpoint.deleted_at IS NULL)
            {"FOR UPDATE" if lock else ""}
        """),
        {"id": delivery_id},
    )
    row = rows.one_or_none()
    return None if row is None else DeliveryRow(*row)


async def list_attempts(connection: AsyncConnection, delivery_ids: Sequence[int]) -> dict[int, list[AttemptRow]]:
    """The newest attempts of each delivery (at most ATTEMPTS_SHOWN_MAX), newest first."""
    rows = await connection.execute(
        sa.text("""
            SELECT asked.delivery_id, attempt.recorded_at, attempt.duration_ms, attempt.http_status, attempt.error,
                   attempt.answer
              FROM unnest(CAST(:delivery_ids AS bigint[])) AS asked (delivery_id)
             CROSS JOIN LATERAL (
                   SELECT * FROM subscriptions.webhook_attempt
                    WHERE webhook_attempt.delivery_id = asked.delivery_id ORDER BY id DESC LIMIT :shown) AS attempt
             ORDER BY attempt.id DESC
        """),
        {"delivery_ids": list(delivery_ids), "shown": ATTEMPTS_SHOWN_MAX},
    )
    found: dict[int, list[AttemptRow]] = {delivery_id: [] for delivery_id in delivery_ids}
    for row in rows:
        found[row.delivery_id].append(AttemptRow(*row[1:]))
    return found


async def queue_test(connection: AsyncConnection, *, endpoint_id: int) -> DeliveryRow:
    rows = await connection.execute(
        sa.text(f"""
            INSERT INTO subscriptions.webhook_delivery (endpoint_id, type) VALUES (:endpoint_id, 'webhook.test')
            RETURNING {_COLUMNS}
        """),
        {"endpoint_id": endpoint_id},
    )
    return DeliveryRow(*rows.one())


async def make_due(connection: AsyncConnection, delivery_id: int) -> DeliveryRow:
    """Makes it due at once, at the beginning of the schedule. An attempt that is under way keeps its lease."""
    rows = await connection.execute(
        sa.text(f"""
            UPDATE subscriptions.webhook_delivery
               SET status = 'waiting', settled_at = NULL,
                   attempts_begun = CASE WHEN lease_token IS NULL OR run_at <= now() THEN 0 ELSE attempts_begun END,
                   run_at = CASE WHEN lease_token IS NULL OR run_at <= now() THEN now() ELSE run_at END
             WHERE id = :id
            RETURNING {_COLUMNS}
        """),
        {"id": delivery_id},
    )
    return DeliveryRow(*rows.one())


async def remove_old(connection: AsyncConnection, *, kept_days: int, limit: int) -> int:
    """Deletes one batch of deliveries that are old or belong to a deleted endpoint; then the deleted endpoints
    without deliveries. Returns how many rows were deleted.
    """
    removed = await connection.execute(
        sa.text("""
            WITH old AS MATERIALIZED (
                SELECT id FROM subscriptions.webhook_delivery
                 WHERE created_at < now() - make_interval(days => :kept_days)
                 ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED
            ), orphan AS MATERIALIZED (
                SELECT found.id FROM subscriptions.webhook_endpoint AS endpoint CROSS JOIN LATERAL (
                       SELECT id FROM subscriptions.webhook_delivery
                        WHERE endpoint_id = endpoint.id ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED) AS found
                 WHERE endpoint.deleted_at IS NOT NULL LIMIT :limit
            )
            DELETE FROM subscriptions.webhook_delivery
             WHERE id = ANY (ARRAY (SELECT id FROM old UNION SELECT id FROM orphan))
        """),
        {"kept_days": kept_days, "limit": limit},
    )
    emptied = await connection.execute(
        sa.text("""
            DELETE FROM subscriptions.webhook_endpoint AS endpoint
             WHERE deleted_at IS NOT NULL AND NOT EXISTS (
                   SELECT FROM subscriptions.webhook_delivery AS delivery WHERE delivery.endpoint_id = endpoint.id)
        """)
    )
    return removed.rowcount + emptied.rowcount
