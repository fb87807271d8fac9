"""SQL of changes of address. Every function takes the connection of its caller's transaction."""

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_gateway.tables import email_change, user_account

_NOW: Final = sa.func.now(type_=sa.DateTime(timezone=True))


class OpenChange(msgspec.Struct, frozen=True):
    """A change that may still be confirmed. Without `old_email` the new mailbox alone confirms it."""

    user_id: int
    old_email: str | None
    new_email: str
    expires_at: datetime
    is_old_confirmed: bool
    is_new_confirmed: bool

    @property
    def is_complete(self) -> bool:
        return self.is_new_confirmed and (self.is_old_confirmed or self.old_email is None)


_OPEN: Final = sa.and_(
    email_change.c.ended_at.is_(None),
    email_change.c.expires_at > _NOW,
    user_account.c.deactivated_at.is_(None),
    # The address was changed in another way since, or the password was: then the change is void.
    user_account.c.email_key.is_not_distinct_from(email_change.c.old_email_key),
    user_account.c.password_changed_at <= email_change.c.requested_at,
)
_SELECT: Final = sa.select(
    email_change.c.user_id,
    user_account.c.email,
    email_change.c.new_email,
    email_change.c.expires_at,
    email_change.c.old_confirmed_at.is_not(None),
    email_change.c.new_confirmed_at.is_not(None),
).join_from(email_change, user_account, user_account.c.id == email_change.c.user_id)


def _has_token(digest: bytes) -> sa.ColumnElement[bool]:
    return sa.or_(email_change.c.old_token_sha256 == digest, email_change.c.new_token_sha256 == digest)


async def open_change(
    connection: AsyncConnection,
    *,
    user_id: int,
    old_email_key: str | None,
    new: EmailAddress,
    old_token_sha256: bytes | None,
    new_token_sha256: bytes,
    lifetime: timedelta,
    cool_down: timedelta,
) -> bool:
    """In place of an earlier one. False: one was asked for a short time ago, and nothing was changed."""
    values: dict[str, Any] = {
        "new_email": new,
        "new_email_key": new.key,
        "old_email_key": old_email_key,
        "old_token_sha256": old_token_sha256,
        "new_token_sha256": new_token_sha256,
        "requested_at": _NOW,
        "expires_at": _NOW + lifetime,
        "old_confirmed_at": None,
        "new_confirmed_at": None,
        "ended_at": None,
    }
    opened = await connection.execute(
        insert(email_change)
        .values(user_id=user_id, **values)
        .on_conflict_do_update(
            index_elements=[email_change.c.user_id],
            set_=values,
            where=email_change.c.requested_at <= _NOW - cool_down,
        )
        .returning(email_change.c.user_id)
    )
    return opened.first() is not None


async def find_change_of(connection: AsyncConnection, user_id: int) -> OpenChange | None:
    row = (await connection.execute(_SELECT.where(_OPEN, email_change.c.user_id == user_id))).one_or_none()
    return None if row is None else OpenChange(*row)


async def find_change(
    connection: AsyncConnection, digest: bytes, *, lock: bool = False
) -> tuple[OpenChange, bool] | None:
    """With whether the token is that of the old mailbox. None: it is unknown, replaced, too old, done or void."""
    statement = _SELECT.add_columns((email_change.c.old_token_sha256 == digest).label("is_old")).where(
        _OPEN, _has_token(digest)
    )
    row = (await connection.execute(statement.with_for_update() if lock else statement)).one_or_none()
    return None if row is None else (OpenChange(*row[:-1]), bool(row[-1]))


async def confirm_side(connection: AsyncConnection, user_id: int, *, is_old: bool) -> None:
    """A second time changes nothing."""
    column = email_change.c.old_confirmed_at if is_old else email_change.c.new_confirmed_at
    await connection.execute(
        email_change.update().where(email_change.c.user_id == user_id).values({column: sa.func.coalesce(column, _NOW)})
    )


async def end_change(connection: AsyncConnection, user_id: int) -> None:
    """Neither of its links opens anything from the commit on."""
    await connection.execute(email_change.update().where(email_change.c.user_id == user_id).values(ended_at=_NOW))
