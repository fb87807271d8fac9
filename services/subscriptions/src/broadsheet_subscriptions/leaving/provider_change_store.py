"""The SQL of changes at the provider: what Postmark's own unsubscribe link did to subscriptions.

Every function takes the connection of its caller's transaction. Row locks: subscriber before subscription.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.lift_request import enqueue_lift
from broadsheet_common.contracts.provider_change import ProviderChangeKind


class ProviderChange(msgspec.Struct, frozen=True):
    """`newsletter_ids`: the newsletters on the stream that the change is about, at the time it was reported."""

    id: int
    kind: ProviderChangeKind
    email_key: str
    newsletter_ids: list[int]
    occurred_at: datetime


async def waiting_changes(connection: AsyncConnection, *, limit: int, resting: Collection[int]) -> list[int]:
    """The ids of the oldest changes, except those in `resting` (set aside)."""
    rows = await connection.execute(
        sa.text("""
            SELECT id FROM subscriptions.provider_change WHERE id <> ALL (:resting) ORDER BY id LIMIT :limit
        """).bindparams(sa.bindparam("resting", type_=pg.ARRAY(sa.BigInteger))),
        {"limit": limit, "resting": list(resting)},
    )
    return list(rows.scalars())


async def take_changes(connection: AsyncConnection, *, ids: Sequence[int]) -> list[ProviderChange]:
    """Takes those of these changes that nobody else has locked. They are deleted when the caller's transaction
    commits.
    """
    rows = await connection.execute(
        sa.text("""
            WITH picked AS MATERIALIZED (
                SELECT id FROM subscriptions.provider_change WHERE id = ANY (:ids) ORDER BY id FOR UPDATE SKIP LOCKED
            )
            DELETE FROM subscriptions.provider_change WHERE id = ANY (ARRAY (SELECT id FROM picked))
            RETURNING id, kind, email_key, newsletter_ids, occurred_at
        """).bindparams(sa.bindparam("ids", type_=pg.ARRAY(sa.BigInteger))),
        {"ids": list(ids)},
    )
    # Ordered by address, so that two replicas with changes of the same people lock those people in the same order.
    return sorted((ProviderChange(*row) for row in rows), key=lambda change: (change.email_key, change.id))


# A change applies to a subscription only if nothing later happened: a later change, a later sign-up or confirmation.
_TOUCHED: Final = """
    subscription.subscriber_id = :subscriber_id
    AND subscription.newsletter_id = ANY (CAST(:newsletter_ids AS bigint[]))
"""


def _parameters(change: ProviderChange, subscriber_id: int) -> dict[str, object]:
    return {
        "subscriber_id": subscriber_id,
        "newsletter_ids": change.newsletter_ids,
        "occurred_at": change.occurred_at,
    }


async def lock_subscriber(connection: AsyncConnection, *, email_key: str) -> int | None:
    row = await connection.execute(
        sa.text("SELECT id FROM subscriptions.subscriber WHERE email_key = :email_key FOR UPDATE"),
        {"email_key": email_key},
    )
    found: int | None = row.scalar_one_or_none()
    return found


async def unsubscribe_by_provider(connection: AsyncConnection, change: ProviderChange, *, subscriber_id: int) -> None:
    """Unsubscribes by Postmark's link. The same link can undo it if the subscription was confirmed, but not if it
    was pending.
    """
    await connection.execute(
        sa.text(f"""
            WITH gone AS (
                UPDATE subscriptions.subscription AS subscription
                   SET state = 'unsubscribed', unsubscribed_at = :occurred_at, confirmation_queued_at = NULL,
                       provider_unsubscribed_at = CASE WHEN state = 'confirmed' THEN :occurred_at END
                 WHERE {_TOUCHED} AND state <> 'unsubscribed'
                   AND coalesce(provider_changed_at <= :occurred_at, true)
                   AND coalesce(confirmed_at <= :occurred_at, true)
                   AND (state <> 'pending' OR coalesce(confirmation_queued_at <= :occurred_at, true))
                RETURNING subscription.id
            )
            DELETE FROM subscriptions.confirmation_token WHERE subscription_id = ANY (ARRAY (SELECT id FROM gone))
        """).bindparams(sa.bindparam("occurred_at", type_=sa.DateTime(timezone=True))),
        _parameters(change, subscriber_id),
    )


async def unsubscribe_for_good(connection: AsyncConnection, change: ProviderChange, *, subscriber_id: int) -> None:
    """Unsubscribes after a complaint, however old, unless the person has confirmed again since. Postmark's link
    cannot undo it.
    """
    await connection.execute(
        sa.text(f"""
            WITH gone AS (
                UPDATE subscriptions.subscription AS subscription
                   SET state = 'unsubscribed', confirmation_queued_at = NULL, provider_unsubscribed_at = NULL,
                       unsubscribed_at = CASE WHEN state = 'unsubscribed' THEN unsubscribed_at ELSE :occurred_at END
                 WHERE {_TOUCHED}
                   AND (state <> 'unsubscribed' OR provider_unsubscribed_at IS NOT NULL)
                   AND coalesce(confirmed_at <= :occurred_at, true)
                   AND (state <> 'pending' OR coalesce(confirmation_queued_at <= :occurred_at, true))
                RETURNING subscription.id
            )
            DELETE FROM subscriptions.confirmation_token WHERE subscription_id = ANY (ARRAY (SELECT id FROM gone))
        """).bindparams(sa.bindparam("occurred_at", type_=sa.DateTime(timezone=True))),
        _parameters(change, subscriber_id),
    )


async def resubscribe_by_provider(connection: AsyncConnection, change: ProviderChange, *, subscriber_id: int) -> None:
    """Subscribes again by Postmark's page, but only what Postmark's link unsubscribed, with nothing later."""
    await connection.execute(
        sa.text(f"""
            UPDATE subscriptions.subscription AS subscription
               SET state = 'confirmed', unsubscribed_at = NULL, provider_unsubscribed_at = NULL
             WHERE {_TOUCHED} AND state = 'unsubscribed' AND confirmed_at IS NOT NULL
               AND provider_unsubscribed_at = unsubscribed_at AND unsubscribed_at < :occurred_at
               AND coalesce(provider_changed_at <= :occurred_at, true)
        """).bindparams(sa.bindparam("occurred_at", type_=sa.DateTime(timezone=True))),
        _parameters(change, subscriber_id),
    )


async def ask_to_lift_what_is_older(connection: AsyncConnection, change: ProviderChange, *, subscriber_id: int) -> None:
    """For a change that is known only now, although the person confirmed again after it: asks delivery to have the
    suppression lifted, as the confirmation itself does when the change arrives first.
    """
    row = await connection.execute(
        sa.text(f"""
            SELECT array_agg(DISTINCT subscription.newsletter_id) AS newsletter_ids,
                   max(event.occurred_at) AS confirmed_at
              FROM subscriptions.subscription
              JOIN subscriptions.consent_event AS event USING (subscriber_id, newsletter_id)
             WHERE {_TOUCHED} AND subscription.state = 'confirmed'
               AND event.kind = 'confirmed' AND event.source = 'link' AND event.occurred_at > :occurred_at
        """).bindparams(sa.bindparam("occurred_at", type_=sa.DateTime(timezone=True))),
        _parameters(change, subscriber_id),
    )
    found = row.one()
    if found.newsletter_ids:
        await enqueue_lift(
            connection,
            email_key=change.email_key,
            newsletter_ids=found.newsletter_ids,
            confirmed_at=found.confirmed_at,
        )


async def remember_change(connection: AsyncConnection, change: ProviderChange, *, subscriber_id: int) -> None:
    """Remembers the change whatever it did, so that an older change that arrives later has no effect."""
    await connection.execute(
        sa.text(f"""
            UPDATE subscriptions.subscription AS subscription SET provider_changed_at = :occurred_at
             WHERE {_TOUCHED} AND coalesce(provider_changed_at < :occurred_at, true)
        """).bindparams(sa.bindparam("occurred_at", type_=sa.DateTime(timezone=True))),
        _parameters(change, subscriber_id),
    )
