"""SQL of roles. Every function takes the connection of its caller's transaction."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_gateway.access.rights import Grant
from broadsheet_gateway.tables import user_account, user_role

_LOCK_OF_OWNERS: Final = 8_530_412
"""An advisory lock of the transaction: owners stop being owners one after the other."""


async def read_grants(connection: AsyncConnection, user_ids: Sequence[int]) -> dict[int, list[Grant]]:
    """Every user that was asked for, with their roles in a stable order."""
    grants: dict[int, list[Grant]] = {user_id: [] for user_id in user_ids}
    result = await connection.execute(
        sa.select(user_role.c.user_id, user_role.c.role, user_role.c.newsletter_id)
        .where(user_role.c.user_id.in_(user_ids))
        .order_by(user_role.c.role, user_role.c.newsletter_id.nulls_first())
    )
    for row in result:
        grants[row.user_id].append(Grant(row.role, row.newsletter_id))
    return grants


async def replace_grants(connection: AsyncConnection, user_id: int, grants: Iterable[Grant]) -> None:
    await connection.execute(user_role.delete().where(user_role.c.user_id == user_id))
    rows = [{"user_id": user_id, "role": grant.role, "newsletter_id": grant.newsletter_id} for grant in set(grants)]
    if rows:
        await connection.execute(user_role.insert(), rows)


async def find_owners(connection: AsyncConnection) -> Collection[int]:
    """The active users who are owners of the whole installation. Until the transaction ends no other one asks: of two
    changes at once that would each leave one, the second sees what the first did.

    It is one lock for all instead of the rows: whoever asks holds the row of one owner already, and would wait for the
    others in a circle.
    """
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_OF_OWNERS)))
    result = await connection.execute(
        sa.select(user_account.c.id).where(
            user_account.c.deactivated_at.is_(None),
            sa.exists().where(
                user_role.c.user_id == user_account.c.id,
                user_role.c.role == "owner",
                user_role.c.newsletter_id.is_(None),
            ),
        )
    )
    return frozenset(result.scalars())
