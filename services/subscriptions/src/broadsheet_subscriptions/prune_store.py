"""The SQL of pruning: plain functions that take the connection of the caller's transaction."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

PRUNE_BATCH_ROWS = 1_000


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
