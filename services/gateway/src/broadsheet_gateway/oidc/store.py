"""SQL of links between users and accounts at the provider. Most functions take their caller's transaction."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_gateway.access.rights import Grant
from broadsheet_gateway.tables import provider_link


class Link(msgspec.Struct, frozen=True):
    """`mapped`: the roles that the mapping of groups gave at the last sign-in."""

    user_id: int
    mapped: frozenset[Grant]
    linked_at: datetime


_SELECT = sa.select(provider_link.c.user_id, provider_link.c.mapped_roles, provider_link.c.linked_at)


def _link(row: sa.Row[*tuple[Any, ...]] | None) -> Link | None:
    return (
        None
        if row is None
        else Link(row.user_id, frozenset(Grant.parse(text) for text in row.mapped_roles), row.linked_at)
    )


async def find_by_subject(connection: AsyncConnection, issuer: str, subject: str) -> Link | None:
    statement = _SELECT.where(provider_link.c.issuer == issuer, provider_link.c.subject == subject)
    return _link((await connection.execute(statement)).one_or_none())


async def find_of_user(connection: AsyncConnection, issuer: str, user_id: int) -> Link | None:
    statement = _SELECT.where(provider_link.c.issuer == issuer, provider_link.c.user_id == user_id)
    return _link((await connection.execute(statement)).one_or_none())


async def insert_link(connection: AsyncConnection, *, issuer: str, subject: str, user_id: int) -> bool:
    """False if the account is somebody's already, or the user has another one; then nothing is changed."""
    result = await connection.execute(
        insert(provider_link)
        .values(issuer=issuer, subject=subject, user_id=user_id)
        .on_conflict_do_nothing()
        .returning(provider_link.c.user_id)
    )
    return result.first() is not None


async def keep_mapped(connection: AsyncConnection, *, issuer: str, user_id: int, mapped: Iterable[Grant]) -> None:
    await connection.execute(
        provider_link.update()
        .where(provider_link.c.issuer == issuer, provider_link.c.user_id == user_id)
        .values(mapped_roles=sorted(grant.text for grant in mapped))
    )


async def delete_link(connection: AsyncConnection, *, issuer: str, user_id: int) -> None:
    await connection.execute(
        provider_link.delete().where(provider_link.c.issuer == issuer, provider_link.c.user_id == user_id)
    )


async def read_clock_s(engine: AsyncEngine) -> int:
    """Seconds since 1970 by the database's clock."""
    async with engine.connect() as connection:
        now = await connection.scalar(sa.select(sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.BigInteger)))
    return int(now or 0)
