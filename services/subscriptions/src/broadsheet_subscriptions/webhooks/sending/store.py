"""The SQL of sending webhooks: claiming deliveries and recording attempts, on the connection of the caller's
transaction.

Row locks: subscriber before delivery before endpoint. Leases are set and compared by the database's clock.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_subscriptions.subscribers.subscription import State
from broadsheet_subscriptions.webhooks.log.store import DeliveryStatus
from broadsheet_subscriptions.webhooks.sending.event import Happening, MessageType


class Claimed(msgspec.Struct, frozen=True):
    """One delivery under a lease. `claimed_at` is by the database's clock; `attempts` includes this one."""

    id: int
    endpoint_id: int
    message_id: UUID
    lease_token: UUID
    attempts: int
    claimed_at: datetime
    url: str
    sealed_secrets: tuple[str, ...]
    happening: Happening

    @property
    def is_test(self) -> bool:
        return self.happening.type == "webhook.test"


_CLAIM: Final = """
    WITH place AS (
        SELECT * FROM unnest(CAST(:endpoint_ids AS bigint[]), CAST(:taken AS integer[])) AS place (endpoint_id, taken)
    ), free AS MATERIALIZED (
        SELECT endpoint.id, endpoint.enabled, :places_per_endpoint - coalesce(place.taken, 0) AS places
          FROM subscriptions.webhook_endpoint AS endpoint
          LEFT JOIN place ON place.endpoint_id = endpoint.id
         WHERE endpoint.deleted_at IS NULL
    ), due AS MATERIALIZED (
        SELECT found.id FROM free CROSS JOIN LATERAL (
               SELECT id FROM subscriptions.webhook_delivery
                WHERE endpoint_id = free.id AND status = 'waiting' AND run_at <= now() AND id <> ALL (:resting)
                ORDER BY run_at, id LIMIT free.places FOR UPDATE SKIP LOCKED) AS found
         WHERE free.enabled AND free.places > 0
    ), tests AS MATERIALIZED (
        SELECT found.id FROM free CROSS JOIN LATERAL (
               SELECT id FROM subscriptions.webhook_delivery
                WHERE endpoint_id = free.id AND status = 'waiting' AND type = 'webhook.test' AND run_at <= now()
                  AND id <> ALL (:resting)
                ORDER BY run_at, id LIMIT free.places FOR UPDATE SKIP LOCKED) AS found
         WHERE NOT free.enabled AND free.places > 0
    )
    UPDATE subscriptions.webhook_delivery
       SET run_at = now() + :lease, lease_token = gen_random_uuid(), attempts_begun = attempts_begun + 1
     WHERE id = ANY (ARRAY (SELECT id FROM due UNION ALL SELECT id FROM tests))
    RETURNING id
"""
_DETAILS: Final = """
    SELECT delivery.id, delivery.endpoint_id, delivery.message_id, delivery.lease_token, delivery.attempts_begun,
           now() AS claimed_at, endpoint.url, delivery.type, delivery.occurred_at, delivery.subscriber_id,
           person.email, delivery.newsletter_id, newsletter.slug, delivery.state, delivery.source,
           ARRAY (SELECT sealed FROM subscriptions.webhook_secret AS secret
                   WHERE secret.endpoint_id = delivery.endpoint_id
                     AND (secret.expires_at IS NULL OR secret.expires_at > now())
                   ORDER BY secret.id DESC) AS sealed_secrets
      FROM subscriptions.webhook_delivery AS delivery
      JOIN subscriptions.webhook_endpoint AS endpoint ON endpoint.id = delivery.endpoint_id
      LEFT JOIN subscriptions.subscriber AS person ON person.id = delivery.subscriber_id
      LEFT JOIN publishing.published_newsletters AS newsletter ON newsletter.newsletter_id = delivery.newsletter_id
     WHERE delivery.id = ANY (CAST(:ids AS bigint[]))
     ORDER BY delivery.run_at, delivery.id
"""


async def claim_due(
    connection: AsyncConnection,
    *,
    taken: Mapping[int, int],
    places_per_endpoint: int,
    lease: timedelta,
    resting: Collection[int] = (),
) -> list[Claimed]:
    """Claims deliveries that are due and not leased, for each endpoint as many as it has places left in this
    replica. `taken`: the places in use by endpoint id. Deliveries in `resting` (set aside) are left out.
    """
    picked = await connection.execute(
        sa.text(_CLAIM).bindparams(
            sa.bindparam("lease", type_=sa.Interval), sa.bindparam("resting", type_=pg.ARRAY(sa.BigInteger))
        ),
        {
            "endpoint_ids": list(taken),
            "taken": list(taken.values()),
            "places_per_endpoint": places_per_endpoint,
            "lease": lease,
            "resting": list(resting),
        },
    )
    ids = list(picked.scalars())
    if not ids:
        return []
    rows = await connection.execute(sa.text(_DETAILS), {"ids": ids})
    return [_claimed(row) for row in rows]


def _claimed(row: sa.Row[tuple[object, ...]]) -> Claimed:
    kind: MessageType = row.type
    state: State | None = row.state
    return Claimed(
        id=row.id,
        endpoint_id=row.endpoint_id,
        message_id=row.message_id,
        lease_token=row.lease_token,
        attempts=row.attempts_begun,
        claimed_at=row.claimed_at,
        url=row.url,
        sealed_secrets=tuple(row.sealed_secrets),
        happening=Happening(
            type=kind,
            occurred_at=row.occurred_at,
            endpoint_id=row.endpoint_id,
            subscriber_id=row.subscriber_id,
            email=row.email,
            newsletter_id=row.newsletter_id,
            newsletter_slug=row.slug,
            state=state,
            source=row.source,
        ),
    )


class AttemptMade(msgspec.Struct, frozen=True):
    """One new line of the log."""

    claimed: Claimed
    duration_ms: int
    http_status: int | None
    error: str | None
    answer: str | None


class Settlement(msgspec.Struct, frozen=True):
    """The new status of a delivery: `waiting` again after `wait_s`, or a final one. `begun` False: no attempt was
    made.
    """

    claimed: Claimed
    status: DeliveryStatus
    wait_s: float = 0.0
    begun: bool = True


async def record_attempts(connection: AsyncConnection, made: Sequence[AttemptMade]) -> None:
    """Appends to the log. The beginning of an answer is stored only if the subscriber still exists; their row is
    locked meanwhile.
    """
    await connection.execute(
        sa.text("""
            WITH made AS MATERIALIZED (
                SELECT * FROM unnest(
                    CAST(:ids AS bigint[]), CAST(:subscriber_ids AS bigint[]), CAST(:durations_ms AS integer[]),
                    CAST(:http_statuses AS integer[]), CAST(:errors AS text[]), CAST(:answers AS text[])
                ) AS made (id, subscriber_id, duration_ms, http_status, error, answer)
            ), person AS MATERIALIZED (
                SELECT id FROM subscriptions.subscriber WHERE id IN (SELECT subscriber_id FROM made)
                 ORDER BY id FOR KEY SHARE
            ), delivery AS MATERIALIZED (
                SELECT id FROM subscriptions.webhook_delivery WHERE id IN (SELECT id FROM made)
                 ORDER BY id FOR KEY SHARE
            )
            INSERT INTO subscriptions.webhook_attempt (delivery_id, duration_ms, http_status, error, answer)
            SELECT made.id, made.duration_ms, made.http_status, made.error,
                   CASE WHEN made.subscriber_id IS NULL OR made.subscriber_id IN (SELECT id FROM person)
                        THEN made.answer END
              FROM made JOIN delivery USING (id)
        """),
        {
            "ids": [one.claimed.id for one in made],
            "subscriber_ids": [one.claimed.happening.subscriber_id for one in made],
            "durations_ms": [one.duration_ms for one in made],
            "http_statuses": [one.http_status for one in made],
            "errors": [one.error for one in made],
            "answers": [one.answer for one in made],
        },
    )


async def settle(connection: AsyncConnection, settlements: Sequence[Settlement]) -> None:
    """Takes effect only under the attempt's lease. One exception: `delivered` is recorded whoever holds the lease by
    now, because the receiver has the message.
    """
    await connection.execute(
        sa.text("""
            UPDATE subscriptions.webhook_delivery AS delivery
               SET status = settlement.status,
                   settled_at = CASE WHEN settlement.status <> 'waiting' THEN now() END,
                   run_at = now() + make_interval(secs => settlement.wait_s),
                   attempts_begun = CASE WHEN settlement.begun THEN attempts_begun ELSE attempts_begun - 1 END,
                   lease_token = NULL
              FROM unnest(
                   CAST(:ids AS bigint[]), CAST(:lease_tokens AS uuid[]), CAST(:statuses AS text[]),
                   CAST(:waits_s AS float8[]), CAST(:begun AS boolean[])
              ) AS settlement (id, lease_token, status, wait_s, begun)
             WHERE delivery.id = settlement.id AND delivery.status = 'waiting'
               AND (settlement.status = 'delivered' OR delivery.lease_token = settlement.lease_token)
        """),
        {
            "ids": [one.claimed.id for one in settlements],
            "lease_tokens": [one.claimed.lease_token for one in settlements],
            "statuses": [one.status for one in settlements],
            "waits_s": [one.wait_s for one in settlements],
            "begun": [one.begun for one in settlements],
        },
    )


async def note_success(connection: AsyncConnection, endpoint_ids: Sequence[int]) -> None:
    """Writes only after a failure. Otherwise thousands of successes in a row would wait for the lock on one row."""
    await connection.execute(
        sa.text("""
            UPDATE subscriptions.webhook_endpoint SET failing_since = NULL, failure_count = 0
             WHERE id = ANY (ARRAY (
                   SELECT id FROM subscriptions.webhook_endpoint
                    WHERE id = ANY (CAST(:ids AS bigint[])) AND failing_since IS NOT NULL ORDER BY id FOR UPDATE))
        """),
        {"ids": list(endpoint_ids)},
    )


async def note_failure(
    connection: AsyncConnection,
    endpoint_id: int,
    *,
    failures: int,
    described: str,
    failing_max: timedelta,
    failures_min: int,
) -> bool:
    """Returns whether the endpoint is now disabled, having failed too often for too long."""
    rows = await connection.execute(
        sa.text("""
            WITH noted AS (
                SELECT id,
                       enabled AND failing_since < now() - :failing_max
                       AND failure_count + :failures >= :failures_min AS is_over
                  FROM subscriptions.webhook_endpoint WHERE id = :id FOR UPDATE
            )
            UPDATE subscriptions.webhook_endpoint AS endpoint
               SET failing_since = coalesce(endpoint.failing_since, now()),
                   failure_count = endpoint.failure_count + :failures,
                   enabled = endpoint.enabled AND NOT coalesce(noted.is_over, false),
                   disabled_at = CASE WHEN noted.is_over THEN now() ELSE endpoint.disabled_at END,
                   disabled_reason = CASE WHEN noted.is_over
                       THEN 'Every attempt has failed since ' || to_char(endpoint.failing_since, 'YYYY-MM-DD HH24:MI')
                            || ' UTC. The last: ' || :described
                       ELSE endpoint.disabled_reason END
              FROM noted
             WHERE endpoint.id = noted.id
            RETURNING noted.is_over
        """).bindparams(
            sa.bindparam("failing_max", type_=sa.Interval),
            sa.bindparam("failures", type_=sa.Integer),
            sa.bindparam("failures_min", type_=sa.Integer),
            sa.bindparam("described", type_=sa.Text),
        ),
        {
            "id": endpoint_id,
            "failures": failures,
            "described": described,
            "failing_max": failing_max,
            "failures_min": failures_min,
        },
    )
    return bool(rows.scalar_one_or_none())


async def disable_endpoint(connection: AsyncConnection, endpoint_id: int, *, reason: str) -> None:
    await connection.execute(
        sa.text("""
            UPDATE subscriptions.webhook_endpoint SET enabled = false, disabled_at = now(), disabled_reason = :reason
             WHERE id = :id AND enabled
        """),
        {"id": endpoint_id, "reason": reason},
    )


class QueueFigures(msgspec.Struct, frozen=True):
    """`waiting` is counted up to `count_max`."""

    waiting: int
    oldest_due_s: float


async def read_figures(connection: AsyncConnection, *, count_max: int) -> QueueFigures:
    rows = await connection.execute(
        sa.text("""
            SELECT (SELECT count(*) FROM (
                        SELECT FROM subscriptions.webhook_delivery
                         WHERE status = 'waiting' LIMIT :count_max) AS counted),
                   coalesce(extract(epoch FROM now() - (
                        SELECT min(oldest.run_at) FROM subscriptions.webhook_endpoint AS endpoint
                         CROSS JOIN LATERAL (
                               SELECT run_at FROM subscriptions.webhook_delivery
                                WHERE endpoint_id = endpoint.id AND status = 'waiting'
                                ORDER BY run_at LIMIT 1) AS oldest
                         WHERE endpoint.enabled)), 0)
        """),
        {"count_max": count_max},
    )
    waiting, oldest_due_s = rows.one()
    return QueueFigures(waiting, max(0.0, float(oldest_due_s)))
