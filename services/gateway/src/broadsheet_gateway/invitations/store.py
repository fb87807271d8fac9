"""SQL of invitations. Every function takes the connection of its caller's transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_gateway.access.rights import Grant
from broadsheet_gateway.invitations.invitation import Invitation
from broadsheet_gateway.tables import invitation, user_account, user_role

_NOW: Final = sa.func.now(type_=sa.DateTime(timezone=True))
_FORGOTTEN_AFTER: Final = timedelta(days=30)
_TURN: Final = 0x696E7669
"""One invitation is written at a time, so that their number keeps its bound and an address has one."""

# Only owners of the whole installation let people in, and they may do everything.
_MAY_INVITE: Final = sa.exists().where(
    user_account.c.id == invitation.c.invited_by,
    user_account.c.deactivated_at.is_(None),
    sa.exists().where(
        user_role.c.user_id == user_account.c.id, user_role.c.role == "owner", user_role.c.newsletter_id.is_(None)
    ),
)
_STATE: Final = sa.case((sa.not_(_MAY_INVITE), "void"), (invitation.c.expires_at <= _NOW, "expired"), else_="open")
_SHOWN: Final = (
    invitation.c.id, invitation.c.email, invitation.c.name, invitation.c.roles, invitation.c.invited_by,
    invitation.c.created_at, invitation.c.sent_at, invitation.c.expires_at, _STATE.label("state"),
)  # fmt: skip


class Invited(msgspec.Struct, frozen=True):
    """What a link leads to."""

    id: int
    email: str
    name: str
    roles: tuple[Grant, ...]


def _shown(row: sa.Row[*tuple[Any, ...]]) -> Invitation:
    values = row._asdict()
    return Invitation(**values | {"roles": [Grant.parse(text) for text in values["roles"]]})


async def take_turn(connection: AsyncConnection) -> None:
    """Until the transaction ends, no other one invites anybody."""
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_TURN)))


async def forget_old(connection: AsyncConnection) -> None:
    """Addresses of people who never came are not kept."""
    await connection.execute(invitation.delete().where(invitation.c.expires_at < _NOW - _FORGOTTEN_AFTER))


async def count_invitations(connection: AsyncConnection) -> int:
    return int((await connection.execute(sa.select(sa.func.count()).select_from(invitation))).scalar_one())


async def find_sent_at(connection: AsyncConnection, email_key: str) -> tuple[datetime, datetime] | None:
    """When the address was last mailed an invitation that is still there, and what time it is."""
    row = (
        await connection.execute(
            sa.select(invitation.c.sent_at, _NOW.label("now")).where(invitation.c.email_key == email_key)
        )
    ).one_or_none()
    return None if row is None else (row.sent_at, row.now)


async def replace_invitation(
    connection: AsyncConnection,
    *,
    address: EmailAddress,
    name: str,
    grants: Sequence[Grant],
    invited_by: int,
    token_sha256: bytes,
    lifetime: timedelta,
) -> Invitation:
    """An earlier one of the address, and its link, are gone."""
    await connection.execute(invitation.delete().where(invitation.c.email_key == address.key))
    made = await connection.execute(
        invitation.insert()
        .values(
            email=address,
            email_key=address.key,
            name=name,
            roles=[grant.text for grant in grants],
            invited_by=invited_by,
            token_sha256=token_sha256,
            sent_at=_NOW,
            expires_at=_NOW + lifetime,
        )
        .returning(invitation.c.id)
    )
    found = await find_invitation(connection, made.scalar_one())
    assert found is not None, "it was made in this transaction"
    return found


async def find_invitation(connection: AsyncConnection, invitation_id: int, *, lock: bool = False) -> Invitation | None:
    statement = sa.select(*_SHOWN).where(invitation.c.id == invitation_id)
    row = (await connection.execute(statement.with_for_update() if lock else statement)).one_or_none()
    return None if row is None else _shown(row)


async def list_invitations(connection: AsyncConnection, *, after_id: int, limit: int) -> list[Invitation]:
    """Oldest first."""
    result = await connection.execute(
        sa.select(*_SHOWN).where(invitation.c.id > after_id).order_by(invitation.c.id).limit(limit)
    )
    return [_shown(row) for row in result]


async def delete_invitation(connection: AsyncConnection, invitation_id: int) -> bool:
    result = await connection.execute(
        invitation.delete().where(invitation.c.id == invitation_id).returning(invitation.c.id)
    )
    return result.first() is not None


def _is_open(token_sha256: bytes) -> sa.ColumnElement[bool]:
    return sa.and_(invitation.c.token_sha256 == token_sha256, invitation.c.expires_at > _NOW, _MAY_INVITE)


_INVITED: Final = (invitation.c.id, invitation.c.email, invitation.c.name, invitation.c.roles)


async def find_open(connection: AsyncConnection, token_sha256: bytes) -> Invited | None:
    """None if the link is unknown, used, withdrawn, replaced or too old, or who sent it may not let people in."""
    row = (await connection.execute(sa.select(*_INVITED).where(_is_open(token_sha256)))).one_or_none()
    return None if row is None else _invited(row)


async def take_open(connection: AsyncConnection, token_sha256: bytes) -> Invited | None:
    """As `find_open`; from the commit on it is gone. Only the first of several gets it."""
    row = (
        await connection.execute(invitation.delete().where(_is_open(token_sha256)).returning(*_INVITED))
    ).one_or_none()
    return None if row is None else _invited(row)


def _invited(row: sa.Row[*tuple[Any, ...]]) -> Invited:
    return Invited(row.id, row.email, row.name, tuple(Grant.parse(text) for text in row.roles))
