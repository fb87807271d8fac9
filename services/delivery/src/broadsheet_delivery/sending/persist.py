"""Store the result of a call, even if the database is unavailable for a while."""

import asyncio
from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.process.database import is_database_unavailable
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.throttle.back_off import retry_wait_s

TRIES_MAX = 10


async def persist(context: DeliveryContext, write: Callable[[AsyncConnection], Awaitable[None]]) -> None:
    """Run `write` in a transaction; try again while the database is unavailable, up to `TRIES_MAX` times (some
    minutes).

    Until it is stored, a call's answer exists only in this process; if it is lost, Postmark has to be asked.
    `write` must be safe to repeat: a commit whose confirmation was lost may have happened.
    """
    for tries in range(TRIES_MAX):
        try:
            async with context.engine.begin() as connection:
                await write(connection)
        except Exception as error:
            if not is_database_unavailable(error) or tries == TRIES_MAX - 1:
                raise
            context.log.warning("delivery.record_retried", tries=tries + 1, error=type(error).__name__)
            await asyncio.sleep(retry_wait_s(tries, context.random))
        else:
            return
