"""Write into the consent record what became of the mails about sign-ups: when they went out, or that they did not.

Delivery sends them and knows; here it is looked up, so that sending does not wait for a record of another service.
Any number of replicas may do it at once: each skips what another has locked.
"""

import asyncio
import random

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_subscriptions.consent import store

POLL_S = 5.0
MAILS_A_BATCH_MAX = 500
BATCHES_A_ROUND_MAX = 100

_log = structlog.get_logger()


async def note_settled_mails(engine: AsyncEngine) -> int:
    """One bounded round, a transaction a batch; how many mails were looked at."""
    looked_at = 0
    for _ in range(BATCHES_A_ROUND_MAX):
        async with engine.begin() as connection:
            rows = await store.note_settled_mails(connection, limit=MAILS_A_BATCH_MAX)
        looked_at += rows
        if rows < MAILS_A_BATCH_MAX:
            break
    return looked_at


async def note_forever(engine: AsyncEngine) -> None:
    """Until cancelled; a round that fails is logged and the next one comes at its time."""
    while True:
        # Jittered, so that replicas started together do not stay together.
        await asyncio.sleep(POLL_S * random.uniform(0.75, 1.25))  # noqa: S311  # no secret
        try:
            await note_settled_mails(engine)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            _log.warning("subscriptions.noting_mails_failed", error=type(error).__name__)
