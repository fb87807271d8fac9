"""SQL of password resets. Every function takes the connection of its caller's transaction."""

from datetime import timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_gateway.tables import password_reset, user_account

_NOW = sa.func.now(type_=sa.DateTime(timezone=True))


class ResetUser(msgspec.Struct, frozen=True):
    """Whose password a link sets."""

    id: int
    username: str
    name: str
    email: str


async def open_reset(
    connection: AsyncConnection, *, email_key: str, token_sha256: bytes, lifetime: timedelta, cool_down: timedelta
) -> tuple[int, str] | None:
    """The user's id and address. None if no active user has the address, or a link was mailed a short time ago. Both
    statements run in any case.
    """
    is_user = sa.and_(user_account.c.email_key == email_key, user_account.c.deactivated_at.is_(None))
    statement = insert(password_reset).from_select(
        ["user_id", "token_sha256", "requested_at", "expires_at", "used_at"],
        sa.select(user_account.c.id, sa.literal(token_sha256), _NOW, _NOW + lifetime, sa.null()).where(is_user),
    )
    opened = await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[password_reset.c.user_id],
            set_={
                "token_sha256": statement.excluded.token_sha256,
                "requested_at": statement.excluded.requested_at,
                "expires_at": statement.excluded.expires_at,
                "used_at": None,
            },
            where=password_reset.c.requested_at <= _NOW - cool_down,
        ).returning(password_reset.c.user_id)
    )
    is_opened = opened.first() is not None
    row = (await connection.execute(sa.select(user_account.c.id, user_account.c.email).where(is_user))).one_or_none()
    return (row.id, row.email) if row is not None and is_opened else None


def _is_open(token_sha256: bytes) -> sa.ColumnElement[bool]:
    return sa.and_(
        password_reset.c.token_sha256 == token_sha256,
        password_reset.c.used_at.is_(None),
        password_reset.c.expires_at > _NOW,
        sa.exists().where(
            user_account.c.id == password_reset.c.user_id,
            user_account.c.deactivated_at.is_(None),
            # The password was changed in another way since: then the link is void.
            user_account.c.password_changed_at <= password_reset.c.requested_at,
        ),
    )


async def find_reset(connection: AsyncConnection, token_sha256: bytes) -> ResetUser | None:
    """None if the link is unknown, used, replaced, too old or void, or its user is deactivated."""
    row = (
        await connection.execute(
            sa.select(user_account.c.id, user_account.c.username, user_account.c.name, user_account.c.email).where(
                user_account.c.id.in_(sa.select(password_reset.c.user_id).where(_is_open(token_sha256)))
            )
        )
    ).one_or_none()
    return None if row is None else ResetUser(row.id, row.username, row.name, row.email or "")


async def use_reset(connection: AsyncConnection, token_sha256: bytes) -> bool:
    """Only the first of several uses gets True."""
    result = await connection.execute(
        password_reset.update().where(_is_open(token_sha256)).values(used_at=_NOW).returning(password_reset.c.user_id)
    )
    return result.first() is not None


async def void_reset_links(connection: AsyncConnection, user_id: int) -> None:
    """For when the user's address changes: what was mailed to the one before opens nothing from the commit on."""
    await connection.execute(
        password_reset.update()
        .where(password_reset.c.user_id == user_id, password_reset.c.used_at.is_(None))
        .values(used_at=_NOW)
    )
