"""The SQL of batches: plain functions that take the connection of the caller's transaction."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.mail.email_address import EmailAddress


async def read_mailboxes(connection: AsyncConnection, subscriber_ids: Collection[int]) -> dict[int, str]:
    """The key of the mailbox of each of these subscribers that exists."""
    rows = await connection.execute(
        sa.text("SELECT id, email FROM subscriptions.subscriber WHERE id = ANY (CAST(:subscriber_ids AS bigint[]))"),
        {"subscriber_ids": list(subscriber_ids)},
    )
    return {row.id: EmailAddress(row.email).mailbox_key for row in rows}


async def forget_keys(connection: AsyncConnection, *, scopes: Sequence[str], key: str) -> None:
    """Deletes what an expired use of this key has left in these scopes."""
    await connection.execute(
        sa.text("DELETE FROM subscriptions.idempotency_key WHERE key = :key AND scope = ANY (:scopes)").bindparams(
            sa.bindparam("scopes", type_=pg.ARRAY(sa.Text))
        ),
        {"key": key, "scopes": list(scopes)},
    )
