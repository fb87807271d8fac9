"""SQL of leases that ran out. Every function takes the connection of its caller's transaction."""

from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

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


async def is_my_turn(connection: AsyncConnection) -> bool:
    """One replica at a time: the lock ends with the transaction."""
    locked = await connection.execute(sa.text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
    return bool(locked.scalar_one())


async def free_expired(
    connection: AsyncConnection, table: Literal["delivery_chunk", "single_mail"], *, limit: int
) -> list[str]:
    """The status each row has now: `pending` if its call was never begun, else `uncertain`."""
    rows = await connection.execute(sa.text(_RESCUE.format(table=table)), {"limit": limit})
    return list(rows.scalars())
