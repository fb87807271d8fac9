"""SQL of recovery. Every function takes the connection of its caller's transaction."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_gateway.tables import user_account, user_role


async def grant_owner(connection: AsyncConnection, user_id: int) -> bool:
    """False if the user is an owner of the whole installation already."""
    result = await connection.execute(
        insert(user_role)
        .values(user_id=user_id, role="owner", newsletter_id=None)
        .on_conflict_do_nothing()
        .returning(user_role.c.id)
    )
    return result.first() is not None


async def reactivate(connection: AsyncConnection, user_id: int) -> bool:
    """False if the user is active already."""
    result = await connection.execute(
        user_account.update()
        .where(user_account.c.id == user_id, user_account.c.deactivated_at.is_not(sa.null()))
        .values(deactivated_at=None)
        .returning(user_account.c.id)
    )
    return result.first() is not None
