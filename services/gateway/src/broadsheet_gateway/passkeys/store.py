"""SQL of passkeys. Every function takes the connection of its caller's transaction."""

from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_gateway.passkeys.ceremony import NewPasskey
from broadsheet_gateway.tables import passkey


class Passkey(msgspec.Struct, frozen=True):
    id: int
    user_id: int
    public_key: bytes
    user_handle: bytes


class ListedPasskey(msgspec.Struct, frozen=True):
    id: int
    credential_id: bytes
    user_handle: bytes
    name: str
    created_at: datetime
    last_used_at: datetime | None


async def list_passkeys(connection: AsyncConnection, user_id: int) -> list[ListedPasskey]:
    """Oldest first."""
    columns = [passkey.c[name] for name in ListedPasskey.__struct_fields__]
    result = await connection.execute(sa.select(*columns).where(passkey.c.user_id == user_id).order_by(passkey.c.id))
    return [ListedPasskey(*row) for row in result]


async def find_passkey(connection: AsyncConnection, credential_id: bytes) -> Passkey | None:
    columns = [passkey.c[name] for name in Passkey.__struct_fields__]
    row = (await connection.execute(sa.select(*columns).where(passkey.c.credential_id == credential_id))).one_or_none()
    return None if row is None else Passkey(*row)


async def insert_passkey(
    connection: AsyncConnection, *, user_id: int, made: NewPasskey, user_handle: bytes, name: str, passkeys_max: int
) -> int | None:
    """Its id; None if the user has so many already, or it is registered. The caller has locked the user, so that of two
    at once the second sees the first.
    """
    held = await connection.scalar(sa.select(sa.func.count()).where(passkey.c.user_id == user_id))
    if int(held or 0) >= passkeys_max:
        return None
    result = await connection.execute(
        insert(passkey)
        .values(
            user_id=user_id,
            credential_id=made.credential_id,
            public_key=made.public_key,
            user_handle=user_handle,
            sign_count=made.sign_count,
            name=name,
        )
        .on_conflict_do_nothing(index_elements=[passkey.c.credential_id])
        .returning(passkey.c.id)
    )
    passkey_id: int | None = result.scalar_one_or_none()
    return passkey_id


async def note_use(connection: AsyncConnection, passkey_id: int, *, sign_count: int) -> bool:
    """False if the counter did not grow: a copy of the passkey may be about. Passkeys that do not count stay at 0. Of
    two uses with one count, one gets True.
    """
    grew = sa.or_(passkey.c.sign_count < sign_count, sa.and_(passkey.c.sign_count == 0, sa.literal(sign_count) == 0))
    result = await connection.execute(
        passkey.update()
        .where(passkey.c.id == passkey_id, grew)
        .values(sign_count=sign_count, last_used_at=sa.func.now())
        .returning(passkey.c.id)
    )
    return result.first() is not None


async def delete_passkey(connection: AsyncConnection, *, user_id: int, passkey_id: int) -> bool:
    """False if the user has no such passkey."""
    result = await connection.execute(
        passkey.delete().where(passkey.c.user_id == user_id, passkey.c.id == passkey_id).returning(passkey.c.id)
    )
    return result.first() is not None


async def delete_passkeys(connection: AsyncConnection, user_id: int) -> list[int]:
    """The ids of those that were there."""
    result = await connection.execute(passkey.delete().where(passkey.c.user_id == user_id).returning(passkey.c.id))
    return sorted(result.scalars())


async def has_passkey(connection: AsyncConnection, user_id: int) -> bool:
    return bool(await connection.scalar(sa.select(sa.exists().where(passkey.c.user_id == user_id))))
