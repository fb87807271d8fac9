"""Remember an address that must not be sent to on a stream."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.email_address import EmailAddress


async def suppress(
    connection: AsyncConnection, *, stream: str, addresses: Sequence[tuple[str, str]], source: str
) -> None:
    """Add (address, reason) pairs; one that is there keeps its first reason.

    One that was lifted comes back, since Postmark has just refused the address; unless it was lifted here and Postmark
    has still to be told, which is why it refused.
    """
    if not addresses:
        return
    await connection.execute(
        sa.text("""
            INSERT INTO delivery.suppression AS kept (message_stream, email_key, reason, source)
            SELECT DISTINCT ON (email_key) :stream, email_key, reason, :source
              FROM unnest(CAST(:keys AS text[]), CAST(:reasons AS text[])) AS given (email_key, reason)
             ORDER BY email_key
            ON CONFLICT (message_stream, email_key) DO UPDATE
               SET active = true, kind = 'inactive', reason = excluded.reason, source = excluded.source,
                   origin = 'postmark', changed_at = greatest(now(), kept.changed_at)
             WHERE NOT kept.active AND kept.tell_run_at IS NULL
        """),
        {
            "stream": stream,
            "source": source,
            "keys": [EmailAddress(address).key for address, _ in addresses],
            "reasons": [reason for _, reason in addresses],
        },
    )
