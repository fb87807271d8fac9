"""Delete what has expired, in small batches, for as long as the app runs: confirmation tokens, idempotency keys,
sign-ups that nobody confirmed, counts of mails, links to people's own pages, changes of address.

Any number of replicas may do it at once: each skips the rows another has locked.
"""

import asyncio
import random

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_subscriptions.background import prune_store as store
from broadsheet_subscriptions.background.prune_store import Lifetimes
from broadsheet_subscriptions.preferences.store import prune_links

INTERVAL_S = 600.0
BATCHES_MAX = 100
"""A round; the next one goes on."""

_log = structlog.get_logger()


async def prune_round(engine: AsyncEngine, lifetimes: Lifetimes) -> int:
    """One round, a transaction a batch; how many rows went."""
    pruned = 0
    for _ in range(BATCHES_MAX):
        async with engine.begin() as connection:
            rows = await store.prune_expired(connection, lifetimes) + await prune_links(connection)
        pruned += rows
        if rows == 0:
            break
    return pruned


async def prune_forever(engine: AsyncEngine, lifetimes: Lifetimes) -> None:
    """Until cancelled; a round that fails is logged and the next one comes at its time."""
    while True:
        # Jittered, so that replicas started together do not stay together.
        await asyncio.sleep(random.uniform(INTERVAL_S / 2, INTERVAL_S))  # noqa: S311  # no secret
        try:
            pruned = await prune_round(engine, lifetimes)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            _log.warning("subscriptions.prune_failed", error=type(error).__name__)
        else:
            _log.info("subscriptions.pruned", rows=pruned)
