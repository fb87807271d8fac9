"""The SQL of unsubscribing: plain functions that take the connection of the caller's transaction."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_subscriptions.subscribers.linked_subscription import (
    LINKED_COLUMNS,
    LinkedSubscription,
    linked_subscription,
)


async def find_subscription(
    connection: AsyncConnection, subscription_id: int, *, lock: bool
) -> LinkedSubscription | None:
    result = await connection.execute(
        sa.text(f"""
            SELECT {LINKED_COLUMNS}
              FROM subscriptions.subscription
              JOIN subscriptions.subscriber AS person ON person.id = subscription.subscriber_id
              JOIN publishing.published_newsletters AS newsletter USING (newsletter_id)
             WHERE subscription.id = :subscription_id
            {"FOR UPDATE OF subscription" if lock else ""}
        """),  # two constant texts
        {"subscription_id": subscription_id},
    )
    return linked_subscription(result.one_or_none())


async def set_all_unsubscribed(connection: AsyncConnection, *, subscription_id: int) -> None:
    """As `set_unsubscribed`, for all subscriptions of the subscriber."""
    rows = await connection.execute(
        sa.text("""
            SELECT id FROM subscriptions.subscription
             WHERE subscriber_id = (SELECT subscriber_id FROM subscriptions.subscription WHERE id = :subscription_id)
             ORDER BY id FOR UPDATE
        """),
        {"subscription_id": subscription_id},
    )
    await set_unsubscribed(connection, list(rows.scalars()))


async def set_unsubscribed(connection: AsyncConnection, subscription_ids: Sequence[int]) -> None:
    """Unsubscribe, end confirmation links sent before, and reset the cool-down so that a new sign-up gets a mail at
    once.

    A subscription that Postmark's link had ended is now ended by us too, so Postmark's link can no longer undo
    it.
    """
    await connection.execute(
        sa.text("""
            WITH ended AS (
                DELETE FROM subscriptions.confirmation_token
                 WHERE subscription_id = ANY(CAST(:subscription_ids AS bigint[])))
            UPDATE subscriptions.subscription
               SET state = 'unsubscribed', unsubscribed_at = now(), confirmation_queued_at = NULL,
                   provider_unsubscribed_at = NULL
             WHERE id = ANY(CAST(:subscription_ids AS bigint[]))
               AND (state <> 'unsubscribed' OR provider_unsubscribed_at IS NOT NULL)
        """),
        {"subscription_ids": list(subscription_ids)},
    )
