"""What a user sees of their passkeys."""

from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_gateway.passkeys.store import ListedPasskey, list_passkeys


async def list_own_passkeys(user_id: int, *, engine: AsyncEngine) -> list[ListedPasskey]:
    """Oldest first; bounded by how many a user may have."""
    async with engine.connect() as connection:
        return await list_passkeys(connection, user_id)
