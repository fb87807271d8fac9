"""Applies the changes that Postmark reports: who left by its own link, who came back by it, who complained.

Each change is applied in the transaction that takes it out of the queue. Changes may come in any order: the time
of each is compared with that of the newest one seen. A hard bounce changes no subscription: it is the mailbox's
decision, not the person's, and delivery's suppression already stops the mail.
"""

from collections.abc import Sequence
from typing import assert_never

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.background.set_aside import SetAside
from broadsheet_subscriptions.leaving import provider_change_store as store
from broadsheet_subscriptions.leaving.provider_change_store import ProviderChange
from broadsheet_subscriptions.subscribers.change_source import name_change_source

CHANGES_A_BATCH_MAX = 200
BATCHES_A_ROUND_MAX = 100
POLL_S = 0.5
BOUND_S = 60.0
LOOP = "subscriptions.provider_changes"

_log = structlog.get_logger()


async def apply_provider_changes(engine: AsyncEngine, set_aside: SetAside[int] | None = None) -> int:
    """One bounded round, one transaction per batch; returns how many changes were applied. Any number of replicas
    may run it.

    The changes of a failed batch are tried one by one. A change that fails alone stays in the queue and is set
    aside.
    """
    held = SetAside[int](LOOP) if set_aside is None else set_aside

    async def waiting(resting: frozenset[int]) -> list[int]:
        async with engine.connect() as connection:
            return await store.waiting_changes(connection, limit=CHANGES_A_BATCH_MAX, resting=resting)

    async def apply(ids: Sequence[int]) -> int:
        async with engine.begin() as connection:
            taken = await store.take_changes(connection, ids=ids)
            for change in taken:
                await _apply(connection, change)
        return len(taken)

    applied = await held.in_batches(waiting, apply, batches_max=BATCHES_A_ROUND_MAX)
    if applied:
        _log.info("subscriptions.provider_changes_applied", changes=applied)
    return applied


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
