"""Adds the results of sign-up mails to the consent record: when they were sent, or that they were not.

Delivery sends the mails and knows the results. They are looked up here, so that sending need not write to another
service's record. Any number of replicas may run this at once: each skips the rows that another has locked.
"""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.background.set_aside import SetAside
from broadsheet_subscriptions.consent import store

POLL_S = 5.0
BOUND_S = 120.0
LOOP = "subscriptions.settled_mails"
MAILS_A_BATCH_MAX = 500
BATCHES_A_ROUND_MAX = 100


async def note_settled_mails(engine: AsyncEngine, set_aside: SetAside[int] | None = None) -> int:
    """One bounded round, one transaction per batch; returns how many mails were looked at.

    The mails of a failed batch are tried one by one. A mail that fails alone is set aside.
    """
    held = SetAside[int](LOOP) if set_aside is None else set_aside

    async def waiting(resting: frozenset[int]) -> list[int]:
        async with engine.connect() as connection:
            return await store.unsettled_mails(connection, limit=MAILS_A_BATCH_MAX, resting=resting)

    async def note(event_ids: Sequence[int]) -> int:
        async with engine.begin() as connection:
            return await store.note_settled_mails(connection, event_ids=event_ids)

    return await held.in_batches(waiting, note, batches_max=BATCHES_A_ROUND_MAX)
