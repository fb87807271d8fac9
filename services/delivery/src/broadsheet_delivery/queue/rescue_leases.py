"""Find what workers that are gone held: leases past their end, by the database's clock.

A chunk or mail whose call was never begun is provably unsent and goes back to wait. One whose call was begun may have
been sent: it becomes uncertain and is asked about. One replica at a time does this, chosen by a transaction-scoped
advisory lock, so that its death frees the place at once.
"""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.context import DeliveryContext

RESCUED_A_ROUND_MAX = 1000
_ADVISORY_LOCK = 0x62736865_7265736371 & 0x7FFFFFFFFFFFFFFF

_RESCUE = """
    WITH picked AS MATERIALIZED (
        SELECT id FROM delivery.{table}
         WHERE status IN ('leased', 'attempting') AND lease_until < now()
         ORDER BY lease_until LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    UPDATE delivery.{table}
       SET status = CASE status WHEN 'leased' THEN 'pending' ELSE 'uncertain' END,
           run_at = now(), lease_token = NULL, lease_until = NULL, parked_at = NULL
     WHERE id = ANY (ARRAY (SELECT id FROM picked))
    RETURNING status
"""


async def rescue_leases(context: DeliveryContext) -> int:
    """One bounded round; answers how many chunks and mails were freed."""
    async with context.engine.begin() as connection:
        locked = await connection.execute(sa.text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
        if not locked.scalar_one():
            return 0
        chunks = await _rescue(connection, "delivery_chunk")
        mails = await _rescue(connection, "single_mail")
    for lane, statuses in (("newsletter", chunks), ("single", mails)):
        if statuses:
            context.log.warning(
                "delivery.leases_rescued",
                lane=lane,
                unsent=statuses.count("pending"),
                uncertain=statuses.count("uncertain"),
            )
    return len(chunks) + len(mails)


async def _rescue(connection: AsyncConnection, table: str) -> list[str]:
    rows = await connection.execute(sa.text(_RESCUE.format(table=table)), {"limit": RESCUED_A_ROUND_MAX})
    return list(rows.scalars())
