"""The SQL of exports: pages by keyset, each a short read of its own."""

from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_subscriptions.subscribers.subscription import State


class ExportedSubscription(msgspec.Struct, frozen=True):
    newsletter_id: int
    state: State
    created_at: datetime
    confirmed_at: datetime | None
    unsubscribed_at: datetime | None
    import_id: int | None


class ExportedPerson(msgspec.Struct, frozen=True):
    """`subscriptions` holds only those that were asked for."""

    id: int
    email: str
    name: str
    attributes: dict[str, Any]
    tags: list[str]
    created_at: datetime
    subscriptions: list[ExportedSubscription]


async def list_people(
    connection: AsyncConnection, *, after_id: int, limit: int, newsletter_id: int | None, state: State | None
) -> list[ExportedPerson]:
    """In the order of ids. With a newsletter or a state, only subscribers with a subscription that matches both.

    Values of attributes that are being removed are left out.
    """
    result = await connection.execute(
        sa.text("""
            SELECT person.id, person.email, person.name, person.tags,
                   person.attributes - ARRAY (SELECT name FROM subscriptions.attribute WHERE removed_at IS NOT NULL)
                       AS attributes,
                   person.created_at, held.held
              FROM subscriptions.subscriber AS person
              CROSS JOIN LATERAL (
                  SELECT coalesce(jsonb_agg(jsonb_build_object(
                             'newsletter_id', newsletter_id, 'state', state, 'created_at', created_at,
                             'confirmed_at', confirmed_at, 'unsubscribed_at', unsubscribed_at, 'import_id', import_id
                         ) ORDER BY newsletter_id), '[]') AS held
                    FROM subscriptions.subscription
                   WHERE subscriber_id = person.id
                     AND (:newsletter_id IS NULL OR newsletter_id = :newsletter_id)
                     AND (:state IS NULL OR state = :state)
              ) AS held
             WHERE person.id > :after_id
               AND ((:newsletter_id IS NULL AND :state IS NULL) OR held.held <> '[]')
             ORDER BY person.id LIMIT :limit
        """)
        .bindparams(sa.bindparam("newsletter_id", type_=sa.BigInteger), sa.bindparam("state", type_=sa.Text))
        .columns(attributes=JSONB, held=JSONB),
        {"after_id": after_id, "limit": limit, "newsletter_id": newsletter_id, "state": state},
    )
    return [
        ExportedPerson(
            row.id,
            row.email,
            row.name,
            row.attributes,
            row.tags,
            row.created_at,
            msgspec.convert(row.held, list[ExportedSubscription]),
        )
        for row in result
    ]
