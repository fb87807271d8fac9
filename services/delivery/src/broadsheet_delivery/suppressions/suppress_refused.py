"""Suppress addresses that Postmark refused in a call."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.address_hash import AddressHasher
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_delivery.erasure.interface import erased_among
from broadsheet_delivery.suppressions.store import insert_refused


async def suppress(
    connection: AsyncConnection,
    hasher: AddressHasher,
    *,
    stream: str,
    addresses: Sequence[tuple[str, str]],
    source: str,
) -> None:
    """Add (address, reason) pairs; an existing suppression keeps its reason.

    A lifted one becomes active again, because Postmark has just refused the address; except if it was lifted here
    and Postmark has not been told yet, which explains the refusal. If somebody was erased while the call was
    under way, theirs is stored under the address's hash.
    """
    reasons = {EmailAddress(address).key: reason for address, reason in addresses}
    erased = await erased_among(connection, hasher, reasons)
    # In the order of addresses, so that two calls cannot deadlock on suppressions.
    plain = [(key, reasons[key]) for key in sorted(reasons.keys() - erased.keys())]
    await insert_refused(connection, stream=stream, given=plain, source=source)
    by_hash = sorted((address_hash, reasons[key]) for key, address_hash in erased.items())
    await insert_refused(connection, stream=stream, given=by_hash, source=source)
