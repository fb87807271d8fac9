"""Follow what Postmark says about people: who left by its own link, who came back by it, who complained.

Each change is applied in the transaction that takes it out of the queue. Changes may come in any order: each is
weighed by its own time against the newest that was seen. A hard bounce changes no subscription: the mailbox spoke, not
the person, and delivery's suppression holds the mail back.
"""

import asyncio
import random
from typing import assert_never

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_subscriptions.leaving import provider_change_store as store
from broadsheet_subscriptions.leaving.provider_change_store import ProviderChange
from broadsheet_subscriptions.subscribers.change_source import name_change_source

CHANGES_A_BATCH_MAX = 200
BATCHES_A_ROUND_MAX = 100
POLL_S = 0.5
FAILURE_WAIT_S = 2.0

_log = structlog.get_logger()


async def apply_provider_changes(engine: AsyncEngine) -> int:
    """One bounded round, a transaction a batch; how many changes were applied. Any number of replicas may do it."""
    applied = 0
    for _ in range(BATCHES_A_ROUND_MAX):
        async with engine.begin() as connection:
            changes = await store.take_changes(connection, limit=CHANGES_A_BATCH_MAX)
            for change in changes:
                await _apply(connection, change)
        if not changes:
            break
        applied += len(changes)
    return applied


async def apply_forever(engine: AsyncEngine) -> None:
    """Until cancelled; a round that fails is logged and tried again."""
    while True:
        # Jittered, so that replicas started together do not stay together.
        wait_s = POLL_S * random.uniform(0.75, 1.25)  # noqa: S311  # no secret
        try:
            applied = await apply_provider_changes(engine)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            _log.warning("subscriptions.provider_changes_failed", error=type(error).__name__)
            wait_s = FAILURE_WAIT_S
        else:
            if applied:
                _log.info("subscriptions.provider_changes_applied", changes=applied)
        await asyncio.sleep(wait_s)


async def _apply(connection: AsyncConnection, change: ProviderChange) -> None:
    subscriber_id = await store.lock_subscriber(connection, email_key=change.email_key)
    if subscriber_id is None:
        return
    await name_change_source(connection, "complaint" if change.kind == "complained" else "provider")
    match change.kind:
        case "unsubscribe":
            await store.unsubscribe_by_provider(connection, change, subscriber_id=subscriber_id)
            await store.ask_to_lift_what_is_older(connection, change, subscriber_id=subscriber_id)
            await store.remember_change(connection, change, subscriber_id=subscriber_id)
        case "resubscribe":
            await store.resubscribe_by_provider(connection, change, subscriber_id=subscriber_id)
            await store.remember_change(connection, change, subscriber_id=subscriber_id)
        case "complained":
            await store.unsubscribe_for_good(connection, change, subscriber_id=subscriber_id)
        case "hard_bounced":
            await store.ask_to_lift_what_is_older(connection, change, subscriber_id=subscriber_id)
        case _:
            assert_never(change.kind)
