"""Listen for the NOTIFY that a publish or a resume sends. It only saves waiting: polling finds the work without it."""

import asyncio
from collections.abc import Callable

import asyncpg

from broadsheet_common.process.settings import PostgresUrl

CHANNEL = "broadsheet_delivery_wake"
RECONNECT_S = 5.0
_CONNECT_TIMEOUT_S = 10.0
_KEEP_ALIVE_S = 30.0


async def listen(url: PostgresUrl, wake: Callable[[], None], *, progress: Callable[[], None]) -> None:
    """Call `wake` at every notification, for as long as the connection holds; `progress` is called while it does.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: the connection could not be made, or is lost.
    """
    connection = await asyncpg.connect(
        url, timeout=_CONNECT_TIMEOUT_S, server_settings={"application_name": "broadsheet-delivery-listen"}
    )
    try:
        await connection.add_listener(CHANNEL, lambda *_: wake())
        while not connection.is_closed():
            progress()
            # A periodic query detects a half-open connection.
            await asyncio.sleep(_KEEP_ALIVE_S)
            await connection.execute("SELECT 1", timeout=_CONNECT_TIMEOUT_S)
    finally:
        connection.terminate()
    raise ConnectionError("the connection that listens is closed")
