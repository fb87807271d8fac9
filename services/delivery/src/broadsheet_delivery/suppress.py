"""Remember an address that must not be sent to on a stream."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.email_address import EmailAddress


async def suppress(
    connection: AsyncConnection, *, stream: str, addresses: Sequence[tuple[str, str]], source: str
) -> None:
    """Add (address, reason) pairs; one that is there keeps its first reason."""
    if not addresses:
        return
    await connection.execute(
        sa.text("""
            INSERT INTO delivery.suppression (message_stream, email_key, reason, source)
            SELECT :stream, email_key, reason, :source
              FROM unnest(CAST(:keys AS text[]), CAST(:reasons AS text[])) AS given (email_key, reason)
            ON CONFLICT DO NOTHING
        """),
        {
            "stream": stream,
            "source": source,
            "keys": [EmailAddress(address).key for address, _ in addresses],
            "reasons": [reason for _, reason in addresses],
        },
    )
