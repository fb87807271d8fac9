"""Remember an address that must not be sent to on a stream."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.address_hash import AddressHasher
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_delivery.erasure.store import Whose, erased_among, table_of


async def suppress(
    connection: AsyncConnection,
    hasher: AddressHasher,
    *,
    stream: str,
    addresses: Sequence[tuple[str, str]],
    source: str,
) -> None:
    """Add (address, reason) pairs; one that is there keeps its first reason.

    One that was lifted comes back, since Postmark has just refused the address; unless it was lifted here and Postmark
    has still to be told, which is why it refused. Somebody may have been erased while the call was under way: theirs is
    kept under the address's hash.
    """
    reasons = {EmailAddress(address).key: reason for address, reason in addresses}
    erased = await erased_among(connection, hasher, reasons)
    # In the order of addresses: two calls never wait for each other's suppressions in a circle.
    plain = [(key, reasons[key]) for key in sorted(reasons.keys() - erased.keys())]
    await _insert(connection, stream=stream, given=plain, source=source)
    by_hash = sorted((address_hash, reasons[key]) for key, address_hash in erased.items())
    await _insert(connection, stream=stream, given=by_hash, source=source)


async def _insert(connection: AsyncConnection, *, stream: str, given: Sequence[tuple[Whose, str]], source: str) -> None:
    """All of them plain addresses, or all of them hashes."""
    if not given:
        return
    table = table_of(given[0][0])
    type_ = sa.Text if isinstance(given[0][0], str) else sa.LargeBinary
    await connection.execute(
        sa.text(f"""
            INSERT INTO {table.name} AS kept (message_stream, {table.column}, reason, source)
            SELECT :stream, given.whose, given.reason, :source
              FROM unnest(:whose, CAST(:reasons AS text[])) WITH ORDINALITY AS given (whose, reason, position)
             ORDER BY given.position
            ON CONFLICT (message_stream, {table.column}) DO UPDATE
               SET active = true, kind = 'inactive', reason = excluded.reason, source = excluded.source,
                   origin = 'postmark', changed_at = greatest(now(), kept.changed_at)
             WHERE NOT kept.active AND kept.tell_run_at IS NULL
        """).bindparams(sa.bindparam("whose", type_=pg.ARRAY(type_))),  # noqa: S608  # tables and columns of ours
        {
            "stream": stream,
            "source": source,
            "whose": [whose for whose, _ in given],
            "reasons": [reason for _, reason in given],
        },
    )
