"""An operator suppresses an address on a stream, or lifts a suppression.

What was decided counts here at once, from the commit on; Postmark is told after it (see `tell_postmark`).
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.email_address import EmailAddress
from broadsheet_common.problems import ConflictError, NotFoundError
from broadsheet_delivery.suppression_store import SuppressionRow, decide_lift, decide_suppress, find_suppression


class ComplaintStaysError(ConflictError):
    slug, title = "complaint-stays", "A spam complaint cannot be lifted"


async def suppress_address(
    connection: AsyncConnection, *, email: EmailAddress, stream: str, note: str | None
) -> SuppressionRow:
    """In the caller's transaction; an address that is suppressed already stays as it is."""
    return await decide_suppress(connection, stream=stream, email_key=email.key, note=note)


async def lift_suppression(connection: AsyncConnection, suppression_id: int) -> None:
    """In the caller's transaction; lifting again is success again.

    Raises:
        NotFoundError: there is no such suppression.
        ComplaintStaysError: the recipient complained of spam; Postmark keeps that for good, and so do we.
    """
    found = await find_suppression(connection, suppression_id, lock=True)
    if found is None:
        raise NotFoundError("There is no such suppression.")
    if found.kind == "complaint":
        raise ComplaintStaysError
    await decide_lift(connection, suppression_id)
