"""Listen for the NOTIFY that a publish or a resume sends. Polling is the truth: without this everything still works."""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from broadsheet_common.process.settings import PostgresUrl

CHANNEL = "broadsheet_delivery_wake"
RECONNECT_S = 5.0
_CONNECT_TIMEOUT_S = 10.0
_KEEP_ALIVE_S = 30.0


async def listen(url: PostgresUrl, wake: Callable[[], None], *, progress: Callable[[], None]) -> None:
    """Call `wake` at every notification, for as long as the connection holds; `progress` is told that it does.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: it was not made, or it is lost.
    """
    dsn = urlunsplit(urlsplit(url)._replace(scheme="postgresql"))
    connection = await asyncpg.connect(
        dsn, timeout=_CONNECT_TIMEOUT_S, server_settings={"application_name": "broadsheet-delivery-listen"}
    )
    try:
        await connection.add_listener(CHANNEL, lambda *_: wake())
        while not connection.is_closed():
            progress()
            # A half-open connection is noticed by asking now and then.
            await asyncio.sleep(_KEEP_ALIVE_S)
            await connection.execute("SELECT 1", timeout=_CONNECT_TIMEOUT_S)
    finally:
        connection.terminate()
    raise ConnectionError("the connection that listens is closed")
