"""What a user sees of their second factor."""

from datetime import datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_gateway.second_factor import store


class ShownFactor(msgspec.Struct, frozen=True):
    """`added_at` None: there is none."""

    added_at: datetime | None
    recovery_codes_left: int


async def read_factor(user_id: int, *, engine: AsyncEngine) -> ShownFactor:
    async with engine.connect() as connection:
        factor = await store.find_factor(connection, user_id)
        left = await store.count_recovery_codes(connection, user_id)
    return ShownFactor(None if factor is None else factor.added_at, left)
