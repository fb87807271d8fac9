"""Listen for the NOTIFY that a publish or a resume sends. Polling is the truth: without this everything still works."""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import structlog

from broadsheet_common.process.settings import PostgresUrl

CHANNEL = "broadsheet_delivery_wake"
_RECONNECT_S = 5.0
_CONNECT_TIMEOUT_S = 10.0
_KEEP_ALIVE_S = 30.0

_log = structlog.get_logger()


async def listen(url: PostgresUrl, wake: Callable[[], None]) -> None:
    """Call `wake` at every notification, for ever; a lost connection is made anew."""
    dsn = urlunsplit(urlsplit(url)._replace(scheme="postgresql"))
    while True:
        try:
            connection = await asyncpg.connect(
                dsn, timeout=_CONNECT_TIMEOUT_S, server_settings={"application_name": "broadsheet-delivery-listen"}
            )
        except (OSError, TimeoutError, asyncpg.PostgresError) as error:
            _log.warning("delivery.listen_failed", error=type(error).__name__)
            await asyncio.sleep(_RECONNECT_S)
            continue
        try:
            await connection.add_listener(CHANNEL, lambda *_: wake())
            while not connection.is_closed():
                # A half-open connection is noticed by asking now and then.
                await asyncio.sleep(_KEEP_ALIVE_S)
                await connection.execute("SELECT 1", timeout=_CONNECT_TIMEOUT_S)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            _log.warning("delivery.listen_lost", error=type(error).__name__)
        finally:
            connection.terminate()
