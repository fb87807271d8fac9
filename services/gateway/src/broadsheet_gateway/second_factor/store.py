"""SQL of the second factor. Every function takes the connection of its caller's transaction."""

from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_gateway.tables import (
    recovery_code,
    second_factor,
    second_factor_requirement,
    second_factor_setup,
    second_factor_tries,
    user_role,
)

_NOW = sa.func.now(type_=sa.DateTime(timezone=True))
_CLOCK_S = sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Double)
LOCK_OF_REQUIREMENTS = 8_530_411
"""An advisory lock of the transaction: changes of who needs a second factor come one after the other."""


class Factor(msgspec.Struct, frozen=True):
    """A second factor in force. `now_s`: seconds since 1970 by the database's clock."""

    sealed_secret: str
    last_step: int
    added_at: datetime
    now_s: float


class SetUp(msgspec.Struct, frozen=True):
    sealed_secret: str
    now_s: float


class Requirements(msgspec.Struct, frozen=True):
    """Who needs a second factor: everybody, or whoever has a role for one of these newsletters."""

    of_everybody: bool
    newsletter_ids: tuple[int, ...]


async def find_factor(connection: AsyncConnection, user_id: int) -> Factor | None:
    row = (
        await connection.execute(
            sa.select(
                second_factor.c.sealed_secret, second_factor.c.last_step, second_factor.c.added_at, _CLOCK_S
            ).where(second_factor.c.user_id == user_id)
        )
    ).one_or_none()
    return None if row is None else Factor(*row)


async def insert_factor(connection: AsyncConnection, *, user_id: int, sealed_secret: str, last_step: int) -> bool:
    """False if the user has one, and then nothing is changed."""
    result = await connection.execute(
        insert(second_factor)
        .values(user_id=user_id, sealed_secret=sealed_secret, last_step=last_step)
        .on_conflict_do_nothing(index_elements=[second_factor.c.user_id])
        .returning(second_factor.c.user_id)
    )
    return result.first() is not None


async def use_step(connection: AsyncConnection, *, user_id: int, step: int) -> bool:
    """The code of this step is used up. False if it or a later one was before: of two at once, one gets True."""
    result = await connection.execute(
        second_factor.update()
        .where(second_factor.c.user_id == user_id, second_factor.c.last_step < step)
        .values(last_step=step)
        .returning(second_factor.c.user_id)
    )
    return result.first() is not None


async def delete_factor(connection: AsyncConnection, user_id: int) -> bool:
    """With its recovery codes and all that was counted. False if the user has none."""
    # First the tries, as who gives a code does.
    for table in (second_factor_tries, recovery_code, second_factor_setup):
        await connection.execute(table.delete().where(table.c.user_id == user_id))
    result = await connection.execute(
        second_factor.delete().where(second_factor.c.user_id == user_id).returning(second_factor.c.user_id)
    )
    return result.first() is not None


async def begin_set_up(connection: AsyncConnection, *, user_id: int, sealed_secret: str) -> None:
    statement = insert(second_factor_setup).values(user_id=user_id, sealed_secret=sealed_secret, begun_at=_NOW)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[second_factor_setup.c.user_id],
            set_={"sealed_secret": statement.excluded.sealed_secret, "begun_at": statement.excluded.begun_at},
        )
    )


async def find_set_up(connection: AsyncConnection, user_id: int, *, lifetime: timedelta) -> SetUp | None:
    """None if none was begun, or it is too old."""
    row = (
        await connection.execute(
            sa.select(second_factor_setup.c.sealed_secret, _CLOCK_S).where(
                second_factor_setup.c.user_id == user_id, second_factor_setup.c.begun_at > _NOW - lifetime
            )
        )
    ).one_or_none()
    return None if row is None else SetUp(*row)


async def delete_set_up(connection: AsyncConnection, user_id: int) -> None:
    await connection.execute(second_factor_setup.delete().where(second_factor_setup.c.user_id == user_id))


async def count_try(connection: AsyncConnection, user_id: int, *, tries_max: int, window: timedelta) -> bool:
    """False if the user's tries in this window are used up. Tries of one user wait for each other here."""
    statement = insert(second_factor_tries).values(user_id=user_id, tries=1, counted_from=_NOW)
    tries = second_factor_tries.c
    is_over = tries.counted_from <= _NOW - window
    result = await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[tries.user_id],
            set_={
                "tries": sa.case((is_over, 1), else_=tries.tries + 1),
                "counted_from": sa.case((is_over, _NOW), else_=tries.counted_from),
            },
            where=sa.or_(is_over, tries.tries < tries_max),
        ).returning(tries.user_id)
    )
    return result.first() is not None


async def seconds_until_next_try(connection: AsyncConnection, user_id: int, *, window: timedelta) -> float:
    tries = second_factor_tries.c
    left = sa.extract("epoch", tries.counted_from + window - _NOW)
    found = await connection.scalar(sa.select(sa.cast(left, sa.Double)).where(tries.user_id == user_id))
    return max(float(found or 0.0), 0.0)


async def forget_tries(connection: AsyncConnection, user_id: int) -> None:
    await connection.execute(second_factor_tries.delete().where(second_factor_tries.c.user_id == user_id))


async def replace_recovery_codes(connection: AsyncConnection, user_id: int, sha256s: Collection[bytes]) -> None:
    """Of a user who has a second factor. Those who replace them at once come one after the other, so that no code stays
    that nobody knows of.
    """
    await connection.execute(
        sa.select(second_factor.c.user_id).where(second_factor.c.user_id == user_id).with_for_update()
    )
    await connection.execute(recovery_code.delete().where(recovery_code.c.user_id == user_id))
    rows = [{"user_id": user_id, "code_sha256": sha256} for sha256 in sha256s]
    await connection.execute(recovery_code.insert(), rows)


async def use_recovery_code(connection: AsyncConnection, *, user_id: int, sha256: bytes) -> bool:
    """False if there is no such code, or it was used before: of two at once, one gets True."""
    result = await connection.execute(
        recovery_code.update()
        .where(
            recovery_code.c.user_id == user_id,
            recovery_code.c.code_sha256 == sha256,
            recovery_code.c.used_at.is_(None),
        )
        .values(used_at=_NOW)
        .returning(recovery_code.c.user_id)
    )
    return result.first() is not None


async def count_recovery_codes(connection: AsyncConnection, user_id: int) -> int:
    """Those that are left."""
    statement = sa.select(sa.func.count()).where(recovery_code.c.user_id == user_id, recovery_code.c.used_at.is_(None))
    return int(await connection.scalar(statement) or 0)


async def is_required_of(connection: AsyncConnection, user_id: int) -> bool:
    """Whether the installation, or a newsletter for which the user has a role, requires a second factor of them."""
    has_role = sa.exists().where(
        user_role.c.user_id == user_id,
        sa.or_(
            user_role.c.newsletter_id.is_(None), user_role.c.newsletter_id == second_factor_requirement.c.newsletter_id
        ),
    )
    statement = sa.select(sa.exists().where(sa.or_(second_factor_requirement.c.newsletter_id.is_(None), has_role)))
    return bool(await connection.scalar(statement))


async def read_requirements(connection: AsyncConnection, *, lock: bool = False) -> Requirements:
    if lock:
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK_OF_REQUIREMENTS)))
    found = (
        (
            await connection.execute(
                sa.select(second_factor_requirement.c.newsletter_id).order_by(second_factor_requirement.c.newsletter_id)
            )
        )
        .scalars()
        .all()
    )
    return Requirements(None in found, tuple(one for one in found if one is not None))


async def replace_requirements(connection: AsyncConnection, requirements: Requirements) -> None:
    await connection.execute(second_factor_requirement.delete())
    ids: list[int | None] = [*([None] if requirements.of_everybody else []), *requirements.newsletter_ids]
    if ids:
        await connection.execute(second_factor_requirement.insert(), [{"newsletter_id": one} for one in ids])
