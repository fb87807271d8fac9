"""The connection pool of a service: bounded in size and in every wait.

Works behind pgbouncer in transaction mode (1.21 or newer, which follows prepared statements): nothing here relies on
session state. The only session-bound use, LISTEN, opens a connection of its own (`delivery`'s wake-up).
"""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit, urlunsplit

import sqlalchemy.exc
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from broadsheet_common.process.settings import PostgresUrl

SCHEMA_VERSION_TABLE = "public.alembic_version"


def create_engine(url: PostgresUrl, *, application_name: str, pool_size: int, timeout_s: float) -> AsyncEngine:
    """An engine on asyncpg. No connection waits longer than `timeout_s` to be made, to be free, or to answer."""
    parts = urlsplit(url)
    timeout_ms = str(int(timeout_s * 1000))
    return create_async_engine(
        urlunsplit(parts._replace(scheme="postgresql+asyncpg")),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=timeout_s,
        pool_recycle=1800,
        # Errors would otherwise repeat a statement's parameters: addresses, tokens.
        hide_parameters=True,
        connect_args={
            "timeout": timeout_s,
            # The client-side bound also ends a wait on a half-open connection, which the server's cannot.
            "command_timeout": timeout_s + 1,
            "server_settings": {
                "application_name": application_name,
                "statement_timeout": timeout_ms,
                "lock_timeout": timeout_ms,
                "idle_in_transaction_session_timeout": str(int(timeout_s * 3000)),
                "timezone": "UTC",
                "jit": "off",
            },
        },
    )


async def schema_version(connection: AsyncConnection) -> str | None:
    """The revision that the database stands at, or None before the first migration."""
    row = await connection.execute(text(f"SELECT version_num FROM {SCHEMA_VERSION_TABLE}"))  # noqa: S608  # a constant
    version: str | None = row.scalar_one_or_none()
    return version


def schema_check(engine: AsyncEngine, expected_version: str) -> Callable[[], Awaitable[str | None]]:
    """A readiness check: the database answers, and its schema is at least the one the code was written for.

    A newer one is well: each migration leaves standing what the version before it uses, so that during a rolling
    upgrade old and new processes work side by side. Versions are numbers of equal length.
    """

    async def check() -> str | None:
        async with engine.connect() as connection:
            version = await schema_version(connection)
        if version is None or not version.isdecimal():
            return f"schema {version}, not {expected_version}"
        return f"schema {version}, not yet {expected_version}" if version < expected_version else None

    return check


def is_database_unavailable(error: Exception) -> bool:
    """Whether the database, not the statement, is at fault: connection lost, shutting down, pool empty, read-only."""
    if isinstance(error, OSError | TimeoutError | sqlalchemy.exc.TimeoutError):
        return True
    if not isinstance(error, sqlalchemy.exc.DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    sqlstate = getattr(error.orig, "sqlstate", None)
    if sqlstate is None:
        # asyncpg raises client-side InterfaceErrors without a SQLSTATE when the connection is gone.
        return isinstance(error, sqlalchemy.exc.InterfaceError | sqlalchemy.exc.OperationalError)
    # 08 connection, 53 resources (disk full, too many connections), 57P operator intervention, 25006 read-only
    # (a failover in progress), 55P03 and 57014 a lock or statement that waited past its bound.
    return sqlstate[:2] in {"08", "53"} or sqlstate[:3] == "57P" or sqlstate in {"25006", "55P03", "57014"}
