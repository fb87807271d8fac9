"""Changes that the provider reports about a person, passed from delivery to subscriptions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

ProviderChangeKind = Literal["unsubscribe", "resubscribe", "complained", "hard_bounced"]


async def enqueue_provider_change(
    connection: AsyncConnection,
    *,
    kind: ProviderChangeKind,
    email_key: str,
    newsletter_ids: Sequence[int],
    occurred_at: datetime,
) -> None:
    """Queue one change in the caller's transaction; `newsletter_ids` are the newsletters sent on the stream
    concerned.
    """
    await connection.execute(
        sa.text("""
            SELECT subscriptions.enqueue_provider_change(
                :kind, :email_key, CAST(:newsletter_ids AS bigint[]), :occurred_at)
        """).bindparams(sa.bindparam("occurred_at", type_=sa.DateTime(timezone=True))),
        {"kind": kind, "email_key": email_key, "newsletter_ids": list(newsletter_ids), "occurred_at": occurred_at},
    )
