"""The SQL of pruning: plain functions that take the connection of the caller's transaction."""

from datetime import timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.idempotency import prune_answers
from broadsheet_subscriptions.subscribers.change_source import name_change_source
from broadsheet_subscriptions.tables import idempotency_key

PRUNE_BATCH_ROWS = 1_000


class Lifetimes(msgspec.Struct, frozen=True):
    """`pending`: how long a sign-up waits for its confirmation. It is at least as long as a link works."""

    pending: timedelta
    mailbox_window: timedelta


async def prune_tokens(connection: AsyncConnection) -> int:
    """One batch of expired confirmation tokens. Returns how many rows were deleted."""
    tokens = await connection.execute(
        sa.text("""
            DELETE FROM subscriptions.confirmation_token WHERE token_hash = ANY(ARRAY(
                SELECT token_hash FROM subscriptions.confirmation_token
                 WHERE expires_at < now() LIMIT :rows FOR UPDATE SKIP LOCKED))
        """),
        {"rows": PRUNE_BATCH_ROWS},
    )
    return tokens.rowcount


async def prune_keys(connection: AsyncConnection) -> int:
    """One batch of expired idempotency keys. Returns how many rows were deleted."""
    return await prune_answers(connection, idempotency_key, rows_max=PRUNE_BATCH_ROWS)


async def prune_quotas(connection: AsyncConnection, lifetimes: Lifetimes) -> int:
    """One batch of mail counts whose window is over. Returns how many rows were deleted."""
    quotas = await connection.execute(
        sa.text("""
            DELETE FROM subscriptions.mailbox_quota WHERE mailbox_hash = ANY (ARRAY (
                SELECT mailbox_hash FROM subscriptions.mailbox_quota
                 WHERE window_began_at < now() - :window ORDER BY window_began_at LIMIT :rows FOR UPDATE SKIP LOCKED))
        """).bindparams(sa.bindparam("window", type_=sa.Interval)),
        {"rows": PRUNE_BATCH_ROWS, "window": lifetimes.mailbox_window},
    )
    return quotas.rowcount


async def forget_unconfirmed(connection: AsyncConnection, lifetimes: Lifetimes) -> int:
    """One batch of sign-ups that waited too long for their confirmation, with their tokens. Returns how many were
    ended.

    If the person had left before they signed up again, they are unsubscribed again. A subscriber without a
    subscription is deleted if nothing else is stored about them.

    The subscriber is locked first, as everywhere. So a sign-up or a confirmation of the same person at the same
    time either waits, or comes first and is not undone: whether a sign-up is due is checked again under the lock.
    """
    result = await connection.execute(
        sa.text("""
            SELECT DISTINCT person.id
              FROM (SELECT person.id
                      FROM subscriptions.subscription
                      JOIN subscriptions.subscriber AS person ON person.id = subscription.subscriber_id
                     WHERE subscription.state = 'pending'
                       AND coalesce(subscription.confirmation_queued_at, subscription.created_at) < now() - :lifetime
                     ORDER BY coalesce(subscription.confirmation_queued_at, subscription.created_at)
                     LIMIT :rows
                       FOR UPDATE OF person SKIP LOCKED) AS person
        """).bindparams(sa.bindparam("lifetime", type_=sa.Interval)),
        {"lifetime": lifetimes.pending, "rows": PRUNE_BATCH_ROWS},
    )
    people = list(result.scalars())
    if not people:
        return 0
    await name_change_source(connection, "expired")
    ended = await connection.execute(
        sa.text("""
            WITH back AS (
                UPDATE subscriptions.subscription SET state = 'unsubscribed', confirmation_queued_at = NULL
                 WHERE subscriber_id = ANY (CAST(:people AS bigint[])) AND state = 'pending'
                   AND unsubscribed_at IS NOT NULL
                   AND coalesce(confirmation_queued_at, created_at) < now() - :lifetime
                RETURNING id
            ), forgotten AS (
                DELETE FROM subscriptions.subscription
                 WHERE subscriber_id = ANY (CAST(:people AS bigint[])) AND state = 'pending'
                   AND unsubscribed_at IS NULL
                   AND coalesce(confirmation_queued_at, created_at) < now() - :lifetime
                RETURNING id
            ), tokens AS (
                DELETE FROM subscriptions.confirmation_token WHERE subscription_id = ANY (ARRAY (SELECT id FROM back))
            )
            SELECT (SELECT count(*) FROM back) + (SELECT count(*) FROM forgotten)
        """).bindparams(sa.bindparam("lifetime", type_=sa.Interval)),
        {"people": people, "lifetime": lifetimes.pending},
    )
    # A separate statement, so that it sees the result of the one before.
    await connection.execute(
        sa.text("""
            DELETE FROM subscriptions.subscriber AS person
             WHERE id = ANY (CAST(:people AS bigint[])) AND attributes = '{}' AND tags = '{}'
               AND NOT EXISTS (SELECT FROM subscriptions.subscription WHERE subscriber_id = person.id)
               AND NOT EXISTS (SELECT FROM subscriptions.consent_event
                                WHERE subscriber_id = person.id AND kind = 'confirmed')
        """),
        {"people": people},
    )
    return int(ended.scalar_one())
