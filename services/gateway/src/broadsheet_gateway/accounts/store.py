"""SQL of users. Every function takes the connection of its caller's transaction."""

from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_gateway.tables import passkey, second_factor, user_account

_UNIQUE_VIOLATION: Final = "23505"


class UserAccount(msgspec.Struct, frozen=True):
    """A user. Sessions that began before `password_changed_at` or `sessions_end_before` have ended. Without
    `password_hash` nobody signs in by password; a deactivated user does not sign in at all; one with a second factor
    has no session without it. `read_at` is the database's time when the row was read.
    """

    id: int
    username: str
    password_hash: str | None
    password_changed_at: datetime
    is_deactivated: bool
    sessions_end_before: datetime | None
    name: str
    email: str | None
    has_second_factor: bool
    has_passkey: bool
    read_at: datetime


_SELECT_USER = sa.select(
    user_account.c.id,
    user_account.c.username,
    user_account.c.password_hash,
    user_account.c.password_changed_at,
    user_account.c.deactivated_at.is_not(None).label("is_deactivated"),
    user_account.c.sessions_end_before,
    user_account.c.name,
    user_account.c.email,
    sa.exists().where(second_factor.c.user_id == user_account.c.id).label("has_second_factor"),
    sa.exists().where(passkey.c.user_id == user_account.c.id).label("has_passkey"),
    sa.func.clock_timestamp(type_=sa.DateTime(timezone=True)).label("read_at"),
)


async def find_user_by_name(connection: AsyncConnection, username: str) -> UserAccount | None:
    row = (await connection.execute(_SELECT_USER.where(user_account.c.username == username))).one_or_none()
    return None if row is None else UserAccount(*row)


async def is_name_taken(connection: AsyncConnection, username: str) -> bool:
    """Whether a user has this name, in upper or lower case: nobody chooses a name that looks like another's."""
    folded = sa.func.lower(user_account.c.username) == sa.func.lower(username)
    return bool(await connection.scalar(sa.select(sa.exists().where(folded))))


async def find_user_to_sign_in(connection: AsyncConnection, *, name: str, email_key: str | None) -> UserAccount | None:
    """The user of that name, else the one whose address it is. One statement, whatever there is."""
    row = (
        await connection.execute(
            _SELECT_USER.where((user_account.c.username == name) | (user_account.c.email_key == (email_key or "")))
            .order_by((user_account.c.username == name).desc())
            .limit(1)
        )
    ).one_or_none()
    return None if row is None else UserAccount(*row)


async def find_user(connection: AsyncConnection, user_id: int) -> UserAccount | None:
    row = (await connection.execute(_SELECT_USER.where(user_account.c.id == user_id))).one_or_none()
    return None if row is None else UserAccount(*row)


async def find_user_by_address(connection: AsyncConnection, email_key: str) -> UserAccount | None:
    row = (await connection.execute(_SELECT_USER.where(user_account.c.email_key == email_key))).one_or_none()
    return None if row is None else UserAccount(*row)


async def lock_user(connection: AsyncConnection, user_id: int) -> None:
    """Until the transaction ends. Whoever changes how a user signs in takes this lock before any other row of theirs,
    so that changes at once see each other, and none waits for one that waits for it.
    """
    await connection.execute(sa.select(user_account.c.id).where(user_account.c.id == user_id).with_for_update())


async def end_sessions(connection: AsyncConnection, user_id: int) -> bool:
    """From the commit on, every session that began before is over. False if there is no such user."""
    result = await connection.execute(
        user_account.update()
        .where(user_account.c.id == user_id)
        .values(sessions_end_before=sa.func.clock_timestamp())
        .returning(user_account.c.id)
    )
    return result.first() is not None


async def insert_user(
    connection: AsyncConnection,
    *,
    username: str,
    password_hash: str | None,
    name: str = "",
    email: EmailAddress | None = None,
) -> int | None:
    """The new user's id; None if the name or the address is taken, and then nothing is changed. The user has no role
    yet.
    """
    result = await connection.execute(
        insert(user_account)
        .values(
            username=username,
            password_hash=password_hash,
            name=name,
            email=email,
            email_key=None if email is None else email.key,
        )
        .on_conflict_do_nothing()
        .returning(user_account.c.id)
    )
    user_id: int | None = result.scalar_one_or_none()
    return user_id


async def replace_password(
    connection: AsyncConnection, *, user_id: int, old_hash: str | None, new_hash: str
) -> datetime | None:
    """The time of the change; None if the hash is no longer `old_hash` (another change came first)."""
    result = await connection.execute(
        user_account.update()
        .where(user_account.c.id == user_id, user_account.c.password_hash.is_not_distinct_from(old_hash))
        .values(password_hash=new_hash, password_changed_at=sa.func.clock_timestamp())
        .returning(user_account.c.password_changed_at)
    )
    changed_at: datetime | None = result.scalar_one_or_none()
    return changed_at


async def set_password_hash(connection: AsyncConnection, *, user_id: int, new_hash: str) -> None:
    """Whatever the password was. From the commit on, every session that began before is over."""
    now = sa.func.clock_timestamp()
    await connection.execute(
        user_account.update()
        .where(user_account.c.id == user_id)
        .values(password_hash=new_hash, password_changed_at=now, sessions_end_before=now)
    )


async def replace_address(connection: AsyncConnection, user_id: int, address: EmailAddress) -> bool:
    """False if another user has the address; then nothing is changed, and the transaction goes on."""
    try:
        async with connection.begin_nested():
            await connection.execute(
                user_account.update().where(user_account.c.id == user_id).values(email=address, email_key=address.key)
            )
    except IntegrityError as error:
        if getattr(error.orig, "sqlstate", None) != _UNIQUE_VIOLATION:
            raise
        return False
    return True


async def replace_hash(connection: AsyncConnection, *, user_id: int, old_hash: str, new_hash: str) -> None:
    """The same password hashed with new argon2 parameters: sessions continue."""
    await connection.execute(
        user_account.update()
        .where(user_account.c.id == user_id, user_account.c.password_hash == old_hash)
        .values(password_hash=new_hash)
    )
