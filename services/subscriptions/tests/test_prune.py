"""What has expired goes away, and nothing else."""

import asyncio

from broadsheet_subscriptions.prune import prune_round
from broadsheet_subscriptions.prune_store import PRUNE_BATCH_ROWS
from harness.cluster import Database

from .conftest import Subscriptions, engine_for


async def test_expired_tokens_and_keys_are_deleted_in_batches_by_two_replicas_at_once(
    database: Database, subscriptions: Subscriptions
) -> None:
    await subscriptions.post("", {"email": "ada@example.com", "name": "Ada"}, key="kept")
    subscriptions.rows(
        "INSERT INTO subscriptions.confirmation_token (token_hash, subscription_id, expires_at) "
        "SELECT sha256(n::text::bytea), 1, now() - interval '1 s' FROM generate_series(1, %s) AS n",
        2 * PRUNE_BATCH_ROWS + 1,
    )
    subscriptions.rows(
        "INSERT INTO subscriptions.idempotency_key (scope, key, fingerprint, expires_at) "
        "SELECT 'key:1', n::text, '', now() - interval '1 s' FROM generate_series(1, %s) AS n",
        PRUNE_BATCH_ROWS + 1,
    )
    engine = engine_for(database)
    pruned = await asyncio.gather(prune_round(engine), prune_round(engine))
    await engine.dispose()
    assert sum(pruned) == 3 * PRUNE_BATCH_ROWS + 2
    assert subscriptions.rows("SELECT key FROM subscriptions.idempotency_key") == [("kept",)]
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.confirmation_token") == [(1,)]
