"""The SQL of subscriptions: plain functions that take the connection of the caller's transaction.

Row locks are always taken in the same order, subscriber before subscription, so that no two use cases deadlock.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.email_address import EmailAddress
from broadsheet_subscriptions.subscriber_name import SubscriberName
from broadsheet_subscriptions.subscription import State

PRUNE_BATCH_ROWS = 1_000


class Newsletter(msgspec.Struct, frozen=True):
    """What this service needs to know of publishing's newsletters."""

    id: int
    name: str
    postal_address: str


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


class EnteredSignUp(msgspec.Struct, frozen=True):
    """A sign-up's rows, locked. `mail_is_due`: the cool-down since the last confirmation mail is over."""

    newsletter: Newsletter
    subscriber: SubscriberRow
    subscriber_is_new: bool
    subscription_id: int
    state: State
    mail_is_due: bool


class LinkedSubscription(msgspec.Struct, frozen=True):
    """What a link in a mail leads to."""

    id: int
    state: State
    newsletter_id: int
    newsletter_name: str


async def enter_sign_up(
    connection: AsyncConnection,
    *,
    email: EmailAddress,
    name: SubscriberName,
    newsletter_id: int | None,
    cool_down: timedelta,
) -> EnteredSignUp | None:
    """Subscriber and subscription, made where they are missing; None, and nothing, without such a newsletter.

    `newsletter_id` None is the default newsletter. A new subscription is pending. Who is there already keeps address
    and name as first given: anybody can fill the form in for anybody.
    """
    result = await connection.execute(
        # One statement, as each costs a round trip. The updates change nothing: they lock the rows, waiting for a
        # transaction that is about to insert them. A row that was just inserted has no locker yet (xmax 0).
        sa.text("""
            WITH newsletter AS MATERIALIZED (
                SELECT newsletter_id, name, postal_address
                  FROM publishing.published_newsletters
                 WHERE newsletter_id = :newsletter_id OR (:newsletter_id IS NULL AND is_default)
            ), person AS (
                INSERT INTO subscriptions.subscriber AS kept (email, email_key, name)
                SELECT :email, :email_key, :name FROM newsletter
                ON CONFLICT (email_key) DO UPDATE SET email_key = kept.email_key
                RETURNING id, email, name, created_at, xmax = 0 AS is_new
            ), held AS (
                INSERT INTO subscriptions.subscription AS kept (newsletter_id, subscriber_id)
                SELECT newsletter.newsletter_id, person.id FROM newsletter, person
                ON CONFLICT (newsletter_id, subscriber_id) DO UPDATE SET state = kept.state
                RETURNING id, state, coalesce(confirmation_queued_at <= now() - :cool_down, true) AS mail_is_due
            )
            SELECT newsletter.newsletter_id, newsletter.name AS newsletter_name, newsletter.postal_address,
                   person.id AS subscriber_id, person.email, person.name, person.created_at, person.is_new,
                   held.id AS subscription_id, held.state, held.mail_is_due
              FROM newsletter, person, held
        """).bindparams(
            sa.bindparam("newsletter_id", type_=sa.BigInteger),
            sa.bindparam("email", type_=sa.Text),
            sa.bindparam("email_key", type_=sa.Text),
            sa.bindparam("name", type_=sa.Text),
            sa.bindparam("cool_down", type_=sa.Interval),
        ),
        {
            "newsletter_id": newsletter_id,
            "email": email,
            "email_key": email.key,
            "name": name,
            "cool_down": cool_down,
        },
    )
    row = result.one_or_none()
    if row is None:
        return None
    return EnteredSignUp(
        newsletter=Newsletter(row.newsletter_id, row.newsletter_name, row.postal_address),
        subscriber=SubscriberRow(row.subscriber_id, EmailAddress(row.email), row.name, row.created_at),
        subscriber_is_new=row.is_new,
        subscription_id=row.subscription_id,
        state=row.state,
        mail_is_due=row.mail_is_due,
    )


async def set_pending_with_token(
    connection: AsyncConnection, *, subscription_id: int, token_hash: bytes, lifetime: timedelta
) -> None:
    """Wait for a confirmation by this token; the cool-down begins."""
    await connection.execute(
        sa.text("""
            WITH pending AS (
                UPDATE subscriptions.subscription SET state = 'pending', confirmation_queued_at = now()
                 WHERE id = :subscription_id
                RETURNING id)
            INSERT INTO subscriptions.confirmation_token (token_hash, subscription_id, expires_at)
            SELECT :token_hash, id, now() + :lifetime FROM pending
        """).bindparams(sa.bindparam("token_hash", type_=sa.LargeBinary), sa.bindparam("lifetime", type_=sa.Interval)),
        {"subscription_id": subscription_id, "token_hash": token_hash, "lifetime": lifetime},
    )


async def find_by_token(connection: AsyncConnection, token_hash: bytes, *, lock: bool) -> LinkedSubscription | None:
    """What an unexpired confirmation token leads to."""
    result = await connection.execute(
        sa.text(f"""
            SELECT subscription.id, subscription.state, newsletter.newsletter_id, newsletter.name
              FROM subscriptions.confirmation_token AS token
              JOIN subscriptions.subscription ON subscription.id = token.subscription_id
              JOIN publishing.published_newsletters AS newsletter USING (newsletter_id)
             WHERE token.token_hash = :token_hash AND token.expires_at > now()
            {"FOR UPDATE OF subscription" if lock else ""}
        """),  # two constant texts
        {"token_hash": token_hash},
    )
    return _linked(result.one_or_none())


async def find_subscription(
    connection: AsyncConnection, subscription_id: int, *, lock: bool
) -> LinkedSubscription | None:
    result = await connection.execute(
        sa.text(f"""
            SELECT subscription.id, subscription.state, newsletter.newsletter_id, newsletter.name
              FROM subscriptions.subscription
              JOIN publishing.published_newsletters AS newsletter USING (newsletter_id)
             WHERE subscription.id = :subscription_id
            {"FOR UPDATE OF subscription" if lock else ""}
        """),  # two constant texts
        {"subscription_id": subscription_id},
    )
    return _linked(result.one_or_none())


def _linked(row: sa.Row[tuple[int, State, int, str]] | None) -> LinkedSubscription | None:
    return None if row is None else LinkedSubscription(row.id, row.state, row.newsletter_id, row.name)


async def set_confirmed(connection: AsyncConnection, *, subscription_id: int, token_hash: bytes) -> None:
    await connection.execute(
        sa.text("""
            WITH used AS (
                UPDATE subscriptions.confirmation_token SET used_at = now()
                 WHERE token_hash = :token_hash AND used_at IS NULL)
            UPDATE subscriptions.subscription SET state = 'confirmed', confirmed_at = now()
             WHERE id = :subscription_id
        """),
        {"subscription_id": subscription_id, "token_hash": token_hash},
    )


async def set_unsubscribed(connection: AsyncConnection, subscription_ids: Sequence[int]) -> None:
    """Leave, end the confirmation links sent before, and let a new sign-up be answered with a mail at once.

    Who had left by Postmark's link leaves with us too: that link can then no longer bring them back.
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


async def prune_expired(connection: AsyncConnection) -> int:
    """Delete one batch of expired confirmation tokens and idempotency keys; how many rows went."""
    tokens = await connection.execute(
        sa.text("""
            DELETE FROM subscriptions.confirmation_token WHERE token_hash = ANY(ARRAY(
                SELECT token_hash FROM subscriptions.confirmation_token
                 WHERE expires_at < now() LIMIT :rows FOR UPDATE SKIP LOCKED))
        """),
        {"rows": PRUNE_BATCH_ROWS},
    )
    keys = await connection.execute(
        sa.text("""
            WITH expired AS MATERIALIZED (
                SELECT scope, key FROM subscriptions.idempotency_key
                 WHERE expires_at < now() ORDER BY expires_at LIMIT :rows FOR UPDATE SKIP LOCKED)
            DELETE FROM subscriptions.idempotency_key AS kept USING expired
             WHERE kept.scope = expired.scope AND kept.key = expired.key
        """),
        {"rows": PRUNE_BATCH_ROWS},
    )
    return tokens.rowcount + keys.rowcount
