"""The SQL of subscribers: plain functions that take the connection of the caller's transaction.

Row locks are always taken in the same order, subscriber before subscription, so that no two use cases deadlock.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_subscriptions.attributes.attribute import AttributeValue
from broadsheet_subscriptions.subscribers.subscription import State
from broadsheet_subscriptions.subscribers.suppression import Suppression


class SubscriberRow(msgspec.Struct, frozen=True):
    id: int
    email: EmailAddress
    name: str
    created_at: datetime


class DetailsRow(msgspec.Struct, frozen=True):
    """Everything that is shown of a subscriber, except the subscriptions."""

    id: int
    email: str
    name: str
    created_at: datetime
    tags: list[str]
    attributes: dict[str, AttributeValue]


class SubscriptionRow(msgspec.Struct, frozen=True):
    id: int
    newsletter_id: int
    subscriber_id: int
    state: State
    created_at: datetime
    confirmed_at: datetime | None
    unsubscribed_at: datetime | None
    import_id: int | None
    suppressed: Suppression | None


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


async def read_details(connection: AsyncConnection, subscriber_ids: Sequence[int]) -> dict[int, DetailsRow]:
    """By id. Values of attributes that are being removed are left out."""
    result = await connection.execute(
        sa.text("""
            SELECT id, email, name, created_at, tags,
                   attributes - ARRAY (SELECT name FROM subscriptions.attribute WHERE removed_at IS NOT NULL)
              FROM subscriptions.subscriber
             WHERE id = ANY(CAST(:subscriber_ids AS bigint[]))
        """),
        {"subscriber_ids": list(subscriber_ids)},
    )
    return {row.id: DetailsRow(*row) for row in result}


async def set_details(
    connection: AsyncConnection,
    subscriber_id: int,
    *,
    name: str | None = None,
    attributes: Mapping[str, AttributeValue | None] | None = None,
    tags: Sequence[str] | None = None,
) -> None:
    """A parameter that is None changes nothing. Attributes are merged in; one that is None loses its value."""
    given = attributes or {}
    await connection.execute(
        sa.text("""
            UPDATE subscriptions.subscriber
               SET name = coalesce(:name, name),
                   tags = coalesce(:tags, tags),
                   attributes = attributes - CAST(:removed AS text[]) || CAST(:set AS jsonb)
             WHERE id = :subscriber_id
        """).bindparams(sa.bindparam("name", type_=sa.Text), sa.bindparam("tags", type_=sa.ARRAY(sa.Text))),
        {
            "subscriber_id": subscriber_id,
            "name": name,
            "tags": None if tags is None else list(tags),
            "removed": [key for key, value in given.items() if value is None],
            "set": msgspec.json.encode({key: value for key, value in given.items() if value is not None}).decode(),
        },
    )


async def list_subscriptions(connection: AsyncConnection, subscriber_ids: Sequence[int]) -> list[SubscriptionRow]:
    """The subscriptions of these subscribers, ordered by subscriber, then oldest first."""
    result = await connection.execute(
        sa.text("""
            SELECT subscription.id, subscription.newsletter_id, subscriber_id, state, subscription.created_at,
                   confirmed_at, unsubscribed_at, import_id,
                   suppressed.kind, suppressed.origin, suppressed.changed_at, suppressed.postmark_refusal
              FROM subscriptions.subscription
              JOIN subscriptions.subscriber AS person ON person.id = subscription.subscriber_id
              LEFT JOIN publishing.published_newsletters AS newsletter
                ON newsletter.newsletter_id = subscription.newsletter_id
              LEFT JOIN delivery.published_suppressed AS suppressed
                ON suppressed.message_stream = newsletter.message_stream AND suppressed.email_key = person.email_key
             WHERE subscriber_id = ANY(CAST(:subscriber_ids AS bigint[]))
             ORDER BY subscriber_id, subscription.id
        """),
        {"subscriber_ids": list(subscriber_ids)},
    )
    return [
        SubscriptionRow(
            row.id,
            row.newsletter_id,
            row.subscriber_id,
            row.state,
            row.created_at,
            row.confirmed_at,
            row.unsubscribed_at,
            row.import_id,
            None if row.kind is None else Suppression(row.kind, row.origin, row.changed_at, row.postmark_refusal),
        )
        for row in result
    ]
