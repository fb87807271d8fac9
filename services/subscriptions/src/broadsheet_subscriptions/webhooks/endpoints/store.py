"""The SQL of webhook endpoints and their secrets: plain functions on the connection of the caller's transaction."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_subscriptions.webhooks.endpoints.endpoint import Endpoint
from broadsheet_subscriptions.webhooks.endpoints.endpoint_fields import EndpointFields

_COLUMNS: Final = """
    id, url, description, events, newsletter_ids, enabled, disabled_reason, disabled_at, failing_since, created_at
"""
_CREATE_LOCK: Final = 0x62736865_77686570
"""An advisory lock held while an endpoint is created, so that two at once cannot both take the last place."""

_IDS = postgresql.ARRAY(sa.BigInteger)
_TEXTS = postgresql.ARRAY(sa.Text)


async def count_endpoints(connection: AsyncConnection) -> int:
    """Counts the endpoints, and prevents others from creating one until the transaction ends."""
    await connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _CREATE_LOCK})
    rows = await connection.execute(
        sa.text("SELECT count(*) FROM subscriptions.webhook_endpoint WHERE deleted_at IS NULL")
    )
    return int(rows.scalar_one())


async def unknown_newsletters(connection: AsyncConnection, newsletter_ids: Sequence[int]) -> list[int]:
    rows = await connection.execute(
        sa.text("""
            SELECT wanted FROM unnest(CAST(:newsletter_ids AS bigint[])) AS wanted
             WHERE NOT EXISTS (
                   SELECT FROM publishing.published_newsletters AS newsletter WHERE newsletter.newsletter_id = wanted)
        """),
        {"newsletter_ids": list(newsletter_ids)},
    )
    return list(rows.scalars())


def _parameters(fields: EndpointFields) -> dict[str, object]:
    return {name: getattr(fields, name) for name in fields.__struct_fields__}


async def insert_endpoint(connection: AsyncConnection, fields: EndpointFields) -> Endpoint:
    rows = await connection.execute(
        sa.text(f"""
            INSERT INTO subscriptions.webhook_endpoint (url, description, events, newsletter_ids, enabled)
            VALUES (:url, :description, :events, :newsletter_ids, :enabled)
            RETURNING {_COLUMNS}
        """).bindparams(sa.bindparam("events", type_=_TEXTS), sa.bindparam("newsletter_ids", type_=_IDS)),
        _parameters(fields),
    )
    return Endpoint(*rows.one())


async def list_endpoints(connection: AsyncConnection, *, before_id: int | None, limit: int) -> list[Endpoint]:
    """Newest first."""
    rows = await connection.execute(
        sa.text(f"""
            SELECT {_COLUMNS} FROM subscriptions.webhook_endpoint
             WHERE deleted_at IS NULL AND (:before_id IS NULL OR id < :before_id)
             ORDER BY id DESC LIMIT :limit
        """).bindparams(sa.bindparam("before_id", type_=sa.BigInteger)),
        {"before_id": before_id, "limit": limit},
    )
    return [Endpoint(*row) for row in rows]


async def find_endpoint(connection: AsyncConnection, endpoint_id: int, *, lock: bool = False) -> Endpoint | None:
    rows = await connection.execute(
        sa.text(f"""
            SELECT {_COLUMNS} FROM subscriptions.webhook_endpoint WHERE id = :id AND deleted_at IS NULL
            {"FOR UPDATE" if lock else ""}
        """),
        {"id": endpoint_id},
    )
    row = rows.one_or_none()
    return None if row is None else Endpoint(*row)


async def update_endpoint(connection: AsyncConnection, endpoint_id: int, fields: EndpointFields) -> None:
    """Writes what a person may change. Enabling an endpoint resets its failures."""
    await connection.execute(
        sa.text("""
            UPDATE subscriptions.webhook_endpoint
               SET url = :url, description = :description, events = :events, newsletter_ids = :newsletter_ids,
                   failing_since = CASE WHEN :enabled AND NOT enabled THEN NULL ELSE failing_since END,
                   failure_count = CASE WHEN :enabled AND NOT enabled THEN 0 ELSE failure_count END,
                   disabled_reason = CASE WHEN NOT :enabled THEN disabled_reason END,
                   disabled_at = CASE WHEN NOT :enabled THEN disabled_at END,
                   enabled = :enabled
             WHERE id = :id
        """).bindparams(
            sa.bindparam("events", type_=_TEXTS),
            sa.bindparam("newsletter_ids", type_=_IDS),
            sa.bindparam("enabled", type_=sa.Boolean),
        ),
        {"id": endpoint_id, **_parameters(fields)},
    )


async def mark_deleted(connection: AsyncConnection, endpoint_id: int) -> bool:
    """From the commit on, nothing is queued or sent for it, and its secrets are deleted. Its log is removed in
    batches later.
    """
    rows = await connection.execute(
        sa.text("""
            WITH gone AS (
                UPDATE subscriptions.webhook_endpoint SET deleted_at = now(), enabled = false
                 WHERE id = :id AND deleted_at IS NULL RETURNING id),
            ended AS (
                DELETE FROM subscriptions.webhook_secret WHERE endpoint_id IN (SELECT id FROM gone))
            SELECT id FROM gone
        """),
        {"id": endpoint_id},
    )
    return rows.first() is not None


async def add_secret(
    connection: AsyncConnection, *, endpoint_id: int, sealed: str, overlap: timedelta, secrets_max: int
) -> None:
    """Adds a new secret. Older ones sign for at most `overlap` longer; beyond `secrets_max`, the oldest are deleted."""
    await connection.execute(
        sa.text("""
            UPDATE subscriptions.webhook_secret SET expires_at = least(expires_at, now() + :overlap)
             WHERE endpoint_id = :endpoint_id
        """).bindparams(sa.bindparam("overlap", type_=sa.Interval)),
        {"endpoint_id": endpoint_id, "overlap": overlap},
    )
    await connection.execute(
        sa.text("INSERT INTO subscriptions.webhook_secret (endpoint_id, sealed) VALUES (:endpoint_id, :sealed)"),
        {"endpoint_id": endpoint_id, "sealed": sealed},
    )
    await connection.execute(
        sa.text("""
            DELETE FROM subscriptions.webhook_secret AS secret
             WHERE endpoint_id = :endpoint_id
               AND (expires_at <= now() OR id NOT IN (
                    SELECT id FROM subscriptions.webhook_secret WHERE endpoint_id = :endpoint_id
                     ORDER BY id DESC LIMIT :secrets_max))
        """),
        {"endpoint_id": endpoint_id, "secrets_max": secrets_max},
    )
