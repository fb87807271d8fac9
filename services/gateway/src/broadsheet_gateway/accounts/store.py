"""SQL of users. Every function takes the connection of its caller's transaction."""

from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_gateway.tables import user_account


class UserAccount(msgspec.Struct, frozen=True):
    """A user. Sessions that began before `password_changed_at` have ended."""

    id: int
    username: str
    password_hash: str
    password_changed_at: datetime


_SELECT_USER = sa.select(
    user_account.c.id,
    user_account.c.username,
    user_account.c.password_hash,
    user_account.c.password_changed_at,
)


async def find_user_by_name(connection: AsyncConnection, username: str) -> UserAccount | None:
    row = (await connection.execute(_SELECT_USER.where(user_account.c.username == username))).one_or_none()
    return UserAccount(row.id, row.username, row.password_hash, row.password_changed_at) if row is not None else None


async def find_user(connection: AsyncConnection, user_id: int) -> UserAccount | None:
    row = (await connection.execute(_SELECT_USER.where(user_account.c.id == user_id))).one_or_none()
    return UserAccount(row.id, row.username, row.password_hash, row.password_changed_at) if row is not None else None


async def insert_user(connection: AsyncConnection, *, username: str, password_hash: str) -> bool:
    """False if the name is taken; nothing is changed then."""
    result = await connection.execute(
        insert(user_account)
        .values(username=username, password_hash=password_hash)
        .on_conflict_do_nothing(index_elements=[user_account.c.username])
        .returning(user_account.c.id)
    )
    return result.first() is not None


async def replace_password(
    connection: AsyncConnection, *, user_id: int, old_hash: str, new_hash: str
) -> datetime | None:
    """The time of the change; None if the hash is no longer `old_hash` (another change came first)."""
    result = await connection.execute(
        user_account.update()
        .where(user_account.c.id == user_id, user_account.c.password_hash == old_hash)
        .values(password_hash=new_hash, password_changed_at=sa.func.clock_timestamp())
        .returning(user_account.c.password_changed_at)
    )
    changed_at: datetime | None = result.scalar_one_or_none()
    return changed_at


async def replace_hash(connection: AsyncConnection, *, user_id: int, old_hash: str, new_hash: str) -> None:
    """The same password hashed with new argon2 parameters: sessions continue."""
    await connection.execute(
        user_account.update()
        .where(user_account.c.id == user_id, user_account.c.password_hash == old_hash)
        .values(password_hash=new_hash)
    )
