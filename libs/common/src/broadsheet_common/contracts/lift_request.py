"""Subscriptions asks delivery to lift a suppression, when a person confirms whose address is suppressed."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection


async def enqueue_lift(
    connection: AsyncConnection, *, email_key: str, newsletter_ids: Sequence[int], confirmed_at: datetime | None = None
) -> None:
    """In the caller's transaction: ask delivery to lift the address's suppressions on these newsletters' streams.

    `confirmed_at`: when the person confirmed; None is now, by the database's clock. Delivery compares it with the
    suppression's time.
    """
    await connection.execute(
        sa.text("""
            SELECT delivery.enqueue_lift(:email_key, CAST(:newsletter_ids AS bigint[]), coalesce(:confirmed_at, now()))
        """).bindparams(sa.bindparam("confirmed_at", type_=sa.DateTime(timezone=True))),
        {"email_key": email_key, "newsletter_ids": list(newsletter_ids), "confirmed_at": confirmed_at},
    )
