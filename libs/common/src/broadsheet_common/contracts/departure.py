"""Telling delivery that somebody left by the link in a mail of an issue, for the issue's report."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection


async def enqueue_departure(connection: AsyncConnection, *, issue_id: int, subscriber_id: int) -> None:
    """In the caller's transaction. The number comes from a link and may be anything: delivery counts it only if a mail
    of this issue went, or may have gone, to this subscriber, and once.
    """
    await connection.execute(
        sa.text("SELECT delivery.enqueue_departure(:issue_id, :subscriber_id)").bindparams(
            sa.bindparam("issue_id", type_=sa.BigInteger), sa.bindparam("subscriber_id", type_=sa.BigInteger)
        ),
        {"issue_id": issue_id, "subscriber_id": subscriber_id},
    )
