"""Find what dead workers held: leases that have run out, by the database's clock.

A chunk or mail whose call was never begun was certainly not sent and becomes pending again. If its call was
begun, it may have been sent: it becomes uncertain and is reconciled. One replica at a time does this, under a
transaction-scoped advisory lock, which a dying replica releases at once.
"""

from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.queue.lease_store import free_expired, is_my_turn

RESCUED_A_ROUND_MAX = 1000


async def rescue_leases(context: DeliveryContext) -> int:
    """One bounded round. Returns how many chunks and mails were freed."""
    async with context.engine.begin() as connection:
        if not await is_my_turn(connection):
            return 0
        chunks = await free_expired(connection, "delivery_chunk", limit=RESCUED_A_ROUND_MAX)
        mails = await free_expired(connection, "single_mail", limit=RESCUED_A_ROUND_MAX)
    for lane, statuses in (("newsletter", chunks), ("single", mails)):
        if statuses:
            context.log.warning(
                "delivery.leases_rescued",
                lane=lane,
                unsent=statuses.count("pending"),
                uncertain=statuses.count("uncertain"),
            )
    return len(chunks) + len(mails)
