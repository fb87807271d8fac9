"""The last owner keeps the role: without one, nobody could give it back but by command."""

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.problems import ConflictError
from broadsheet_gateway.access.store import find_owners


class LastOwnerError(ConflictError):
    slug, title = "last-owner", "This is the last owner; make somebody else an owner first"


async def require_another_owner(connection: AsyncConnection, user_id: int) -> None:
    """Before a user stops being an active owner. Raises `LastOwnerError` if nobody else is one."""
    if await find_owners(connection) == {user_id}:
        raise LastOwnerError
