"""Deletes what has expired, in small batches, for as long as the app runs: confirmation tokens, idempotency keys,
sign-ups that nobody confirmed, counts of mails, links to people's own pages, changes of address.

Any number of replicas may run it at once: each skips the rows that another has locked.
"""

from collections.abc import Awaitable, Callable
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.background.each import do_each
from broadsheet_subscriptions.background import prune_store as store
from broadsheet_subscriptions.background.prune_store import Lifetimes
from broadsheet_subscriptions.preferences.interface import prune_links

INTERVAL_S = 450.0
BOUND_S = 3600.0
BATCHES_MAX = 100
"""Per kind and round; the next round goes on."""

_log = structlog.get_logger()


async def prune_round(engine: AsyncEngine, lifetimes: Lifetimes) -> int:
    """One round, one transaction per batch; returns how many rows were deleted. A kind that fails does not stop the
    others.
    """
    kinds: list[Callable[[AsyncConnection], Awaitable[int]]] = [
        partial(store.forget_unconfirmed, lifetimes=lifetimes),
        store.prune_tokens,
        store.prune_keys,
        partial(store.prune_quotas, lifetimes=lifetimes),
        prune_links,
    ]
    pruned = await do_each([partial(_prune, engine, kind) for kind in kinds])
    if pruned:
        _log.info("subscriptions.pruned", rows=pruned)
    return pruned


async def _prune(engine: AsyncEngine, kind: Callable[[AsyncConnection], Awaitable[int]]) -> int:
    pruned = 0
    for _ in range(BATCHES_MAX):
        async with engine.begin() as connection:
            rows = await kind(connection)
        pruned += rows
        if rows == 0:
            break
    return pruned
