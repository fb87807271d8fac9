"""SQL of API keys. Every function takes the connection of its caller's transaction."""

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.permissions import Permission
from broadsheet_gateway.api_keys.api_key import ApiKeyText, read_scopes
from broadsheet_gateway.tables import api_key


class StoredApiKey(msgspec.Struct, frozen=True):
    """A key as stored. `expires_in_s` is by the database's clock; None never expires."""

    id: int
    user_id: int
    secret_sha256: bytes
    scopes: frozenset[Permission]
    is_revoked: bool
    expires_in_s: float | None
    is_touch_due: bool


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
        scopes=read_scopes(row.scopes),
        is_revoked=row.is_revoked,
        expires_in_s=None if row.expires_in_s is None else float(row.expires_in_s),
        is_touch_due=row.is_touch_due,
    )


async def touch_api_key(connection: AsyncConnection, key_id: int) -> None:
    """Record the use, at most once a minute, so that a busy key costs no write a request."""
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
    connection: AsyncConnection, *, user_id: int, name: str, key: ApiKeyText, scopes: frozenset[Permission]
) -> None:
    """Make `key` the user's key of that name, replacing any other; it has no expiry and is not revoked."""
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
