"""SQL of the schema `gateway`. Every function takes the connection: its caller owns the transaction."""

from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.identity import Scope
from broadsheet_gateway.api_keys.api_key import ApiKeyText, to_scopes
from broadsheet_gateway.tables import api_key, user_account


class UserAccount(msgspec.Struct, frozen=True):
    """A user; `password_changed_at` dates every session: one that began under another password has ended."""

    id: int
    username: str
    password_hash: str
    password_changed_at: datetime


class StoredApiKey(msgspec.Struct, frozen=True):
    """A key as the table has it. `expires_in_s` counts by the database's clock; None never expires."""

    id: int
    user_id: int
    secret_sha256: bytes
    scopes: frozenset[Scope]
    is_revoked: bool
    expires_in_s: float | None
    is_touch_due: bool


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
    """False when the name is taken; nothing is changed then."""
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
    """The time of the change; None when the hash is no longer `old_hash` (another change came first)."""
    result = await connection.execute(
        user_account.update()
        .where(user_account.c.id == user_id, user_account.c.password_hash == old_hash)
        .values(password_hash=new_hash, password_changed_at=sa.func.clock_timestamp())
        .returning(user_account.c.password_changed_at)
    )
    changed_at: datetime | None = result.scalar_one_or_none()
    return changed_at


async def replace_hash(connection: AsyncConnection, *, user_id: int, old_hash: str, new_hash: str) -> None:
    """The same password under new argon2 parameters: sessions go on."""
    await connection.execute(
        user_account.update()
        .where(user_account.c.id == user_id, user_account.c.password_hash == old_hash)
        .values(password_hash=new_hash)
    )


async def find_api_key(connection: AsyncConnection, prefix: str) -> StoredApiKey | None:
    result = await connection.execute(
        sa.select(
            api_key.c.id,
            api_key.c.user_id,
            api_key.c.secret_sha256,
            api_key.c.scopes,
            api_key.c.revoked_at.is_not(None).label("is_revoked"),
            sa.func.extract("epoch", api_key.c.expires_at - sa.func.now()).label("expires_in_s"),
            sa.func.coalesce(api_key.c.last_used_at < sa.func.now() - sa.text("interval '1 minute'"), True).label(
                "is_touch_due"
            ),
        ).where(api_key.c.prefix == prefix)
    )
    row = result.one_or_none()
    if row is None:
        return None
    return StoredApiKey(
        id=row.id,
        user_id=row.user_id,
        secret_sha256=row.secret_sha256,
        scopes=to_scopes(row.scopes),
        is_revoked=row.is_revoked,
        expires_in_s=None if row.expires_in_s is None else float(row.expires_in_s),
        is_touch_due=row.is_touch_due,
    )


async def touch_api_key(connection: AsyncConnection, key_id: int) -> None:
    """Note the use; at most once a minute, so that a busy key costs no write a request."""
    await connection.execute(
        api_key.update()
        .where(
            api_key.c.id == key_id,
            sa.func.coalesce(api_key.c.last_used_at < sa.func.now() - sa.text("interval '1 minute'"), True),
        )
        .values(last_used_at=sa.func.now())
    )


async def find_api_key_id(connection: AsyncConnection, *, user_id: int, name: str) -> int | None:
    result = await connection.execute(
        sa.select(api_key.c.id).where(api_key.c.user_id == user_id, api_key.c.name == name)
    )
    found: int | None = result.scalar_one_or_none()
    return found


async def find_api_key_name(connection: AsyncConnection, key_id: int) -> str | None:
    result = await connection.execute(sa.select(api_key.c.name).where(api_key.c.id == key_id))
    found: str | None = result.scalar_one_or_none()
    return found


async def put_api_key(
    connection: AsyncConnection, *, user_id: int, name: str, key: ApiKeyText, scopes: frozenset[Scope]
) -> None:
    """Make `key` the user's key of that name, in place of any other; it neither expires nor is revoked."""
    values = {
        "prefix": key.prefix,
        "secret_sha256": key.sha256,
        "scopes": sorted(scopes),
        "expires_at": None,
        "revoked_at": None,
    }
    await connection.execute(
        insert(api_key)
        .values(user_id=user_id, name=name, **values)
        .on_conflict_do_update(index_elements=[api_key.c.user_id, api_key.c.name], set_=values)
    )
