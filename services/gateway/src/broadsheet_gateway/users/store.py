"""SQL of users as a list. Every function takes the connection of its caller's transaction."""

from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_gateway.tables import passkey, second_factor, user_account


class UserRow(msgspec.Struct, frozen=True):
    id: int
    username: str
    name: str
    email: str | None
    has_second_factor: bool
    created_at: datetime
    deactivated_at: datetime | None


_HAS_SECOND_FACTOR = sa.or_(
    sa.exists().where(second_factor.c.user_id == user_account.c.id),
    sa.exists().where(passkey.c.user_id == user_account.c.id),
).label("has_second_factor")
_COLUMNS = [user_account.c.get(name, _HAS_SECOND_FACTOR) for name in UserRow.__struct_fields__]


async def list_users(connection: AsyncConnection, *, after_id: int, limit: int) -> list[UserRow]:
    """Oldest first."""
    result = await connection.execute(
        sa.select(*_COLUMNS).where(user_account.c.id > after_id).order_by(user_account.c.id).limit(limit)
    )
    return [UserRow(*row) for row in result]


async def find_user_row(connection: AsyncConnection, user_id: int, *, lock: bool = False) -> UserRow | None:
    statement = sa.select(*_COLUMNS).where(user_account.c.id == user_id)
    row = (await connection.execute(statement.with_for_update(of=user_account) if lock else statement)).one_or_none()
    return None if row is None else UserRow(*row)


async def update_user(connection: AsyncConnection, user_id: int, **values: Any) -> None:
    await connection.execute(user_account.update().where(user_account.c.id == user_id).values(**values))


async def deactivate(connection: AsyncConnection, user_id: int) -> None:
    """Their sessions end too."""
    now = sa.func.clock_timestamp()
    await update_user(connection, user_id, deactivated_at=now, sessions_end_before=now)
