"""An operator suppresses an address on a stream, or lifts a suppression.

The change takes effect here with its commit; Postmark is told after it (see `tell_postmark`).
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.address_hash import AddressHasher
from broadsheet_common.contracts.erasure import enter_addresses
from broadsheet_common.http.problems import ConflictError, NotFoundError
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_delivery.events.interface import streams_in_use
from broadsheet_delivery.events.run_backstop import STREAMS_MAX
from broadsheet_delivery.suppressions.store import SuppressionRow, decide_lift, decide_suppress, find_suppression
from broadsheet_delivery.suppressions.suppression import ALL_STREAMS


class ComplaintStaysError(ConflictError):
    slug, title = "complaint-stays", "A spam complaint cannot be lifted"


async def suppress_address(
    connection: AsyncConnection,
    hasher: AddressHasher,
    *,
    email: EmailAddress,
    stream: str | None,
    transactional_stream: str,
    note: str | None,
) -> SuppressionRow:
    """In the caller's transaction; an address that is already suppressed stays as it is. `stream` None: on every
    stream in use, and on a stream used later from its first issue on (see `preflight`).
    """
    await enter_addresses(connection, hasher, [email.key])
    if stream is not None:
        return await decide_suppress(connection, stream=stream, email_key=email.key, note=note)
    streams = await streams_in_use(connection, transactional=transactional_stream, limit=STREAMS_MAX)
    for one in streams:
        await decide_suppress(connection, stream=one, email_key=email.key, note=note, all_streams=True)
    return await decide_suppress(connection, stream=ALL_STREAMS, email_key=email.key, note=note, all_streams=True)


async def lift_suppression(connection: AsyncConnection, suppression_id: int) -> None:
    """In the caller's transaction. Repeating it succeeds.

    Raises:
        NotFoundError: there is no such suppression.
        ComplaintStaysError: the recipient complained of spam; Postmark never lifts that, and neither do we.
    """
    found = await find_suppression(connection, suppression_id, lock=True)
    if found is None:
        raise NotFoundError("There is no such suppression.")
    if found.kind == "complaint":
        raise ComplaintStaysError
    await decide_lift(connection, suppression_id)
