"""The SQL of subscribers: plain functions that take the connection of the caller's transaction.

Row locks are always taken in the same order, subscriber before subscription, so that no two use cases deadlock.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.email_address import EmailAddress
from broadsheet_subscriptions.people.subscription import State


class SubscriberRow(msgspec.Struct, frozen=True):
    id: int
    email: EmailAddress
    name: str
    created_at: datetime


class SubscriptionRow(msgspec.Struct, frozen=True):
    id: int
    newsletter_id: int
    subscriber_id: int
    state: State
    created_at: datetime
    confirmed_at: datetime | None
    unsubscribed_at: datetime | None


async def find_subscriber(
    connection: AsyncConnection, subscriber_id: int, *, lock: bool = False
) -> SubscriberRow | None:
    result = await connection.execute(
        sa.text(f"""
            SELECT id, email, name, created_at FROM subscriptions.subscriber WHERE id = :subscriber_id
            {"FOR UPDATE" if lock else ""}
        """),  # two constant texts
        {"subscriber_id": subscriber_id},
    )
    row = result.one_or_none()
    return None if row is None else SubscriberRow(row.id, EmailAddress(row.email), row.name, row.created_at)


async def list_subscribers(
    connection: AsyncConnection,
    *,
    before_id: int | None,
    limit: int,
    state: State | None,
    newsletter_id: int | None,
    email_key: str | None,
) -> list[SubscriberRow]:
    """Newest first; a filter by state or newsletter wants one subscription that fits both."""
    result = await connection.execute(
        sa.text("""
            SELECT id, email, name, created_at
              FROM subscriptions.subscriber
             WHERE (:before_id IS NULL OR id < :before_id)
               AND (:email_key IS NULL OR email_key = :email_key)
               AND ((:state IS NULL AND :newsletter_id IS NULL) OR EXISTS (
                    SELECT FROM subscriptions.subscription
                     WHERE subscription.subscriber_id = subscriber.id
                       AND (:state IS NULL OR subscription.state = :state)
                       AND (:newsletter_id IS NULL OR subscription.newsletter_id = :newsletter_id)))
             ORDER BY id DESC
             LIMIT :limit
        """).bindparams(
            sa.bindparam("before_id", type_=sa.BigInteger),
            sa.bindparam("email_key", type_=sa.Text),
            sa.bindparam("state", type_=sa.Text),
            sa.bindparam("newsletter_id", type_=sa.BigInteger),
        ),
        {
            "before_id": before_id,
            "limit": limit,
            "state": state,
            "newsletter_id": newsletter_id,
            "email_key": email_key,
        },
    )
    return [SubscriberRow(row.id, EmailAddress(row.email), row.name, row.created_at) for row in result]


async def list_subscriptions(connection: AsyncConnection, subscriber_ids: Sequence[int]) -> list[SubscriptionRow]:
    """Of these subscribers, by subscriber and age."""
    result = await connection.execute(
        sa.text("""
            SELECT id, newsletter_id, subscriber_id, state, created_at, confirmed_at, unsubscribed_at
              FROM subscriptions.subscription
             WHERE subscriber_id = ANY(CAST(:subscriber_ids AS bigint[]))
             ORDER BY subscriber_id, id
        """),
        {"subscriber_ids": list(subscriber_ids)},
    )
    return [SubscriptionRow(*row) for row in result]
