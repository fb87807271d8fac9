"""The connection pool of a service, with limits on its size and on every wait.

Works behind pgbouncer in transaction mode (1.21 or newer, which supports prepared statements): nothing here
relies on session state. The only session-bound use, LISTEN, opens a connection of its own (`delivery`'s wake-up).
"""

import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import sqlalchemy.exc
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from broadsheet_common.process.settings import PostgresUrl

SCHEMA_VERSION_TABLE = "public.alembic_version"


def create_engine(url: PostgresUrl, *, application_name: str, pool_size: int, timeout_s: float) -> AsyncEngine:
    """An engine on asyncpg. Connecting, waiting for a free connection and each statement take at most `timeout_s`.

    asyncpg reads the address itself, with `sslmode` and the other parameters that libpq has. SQLAlchemy would hand
    them on under names that asyncpg does not know.
    """
    timeout_ms = str(int(timeout_s * 1000))

    async def connect() -> Any:
        return await asyncpg.connect(
            url,
            timeout=timeout_s,
            # The client-side time-out also ends a wait on a half-open connection, which the server's cannot.
            command_timeout=timeout_s + 1,
            server_settings={
                "application_name": application_name,
                "statement_timeout": timeout_ms,
                "lock_timeout": timeout_ms,
                "idle_in_transaction_session_timeout": str(int(timeout_s * 3000)),
                "timezone": "UTC",
                "jit": "off",
            },
        )

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=timeout_s,
        pool_recycle=1800,
        # Otherwise errors would contain a statement's parameters: addresses, tokens.
        hide_parameters=True,
    )


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection without a transaction: each statement sees the database as it is then. For reads that need no more,
    because beginning and ending a transaction costs as much as the read itself.
    """
    async with engine.connect() as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")


async def schema_version(connection: AsyncConnection) -> str | None:
    """The database's schema version, or None before the first migration."""
    row = await connection.execute(text(f"SELECT version_num FROM {SCHEMA_VERSION_TABLE}"))  # noqa: S608  # a constant
    version: str | None = row.scalar_one_or_none()
    return version


def schema_check(engine: AsyncEngine, expected_version: str) -> Callable[[], Awaitable[str | None]]:
    """A readiness check: the database answers, and its schema is at least the version that the code was written for.

    A newer version is fine: each migration keeps what the version before it uses, so that during a rolling
    upgrade old and new processes work side by side. Versions are numbers of equal length.
    """

    async def check() -> str | None:
        async with engine.connect() as connection:
            version = await schema_version(connection)
        if version is None or not version.isdecimal():
            return f"schema {version}, not {expected_version}"
        return f"schema {version}, not yet {expected_version}" if version < expected_version else None

    return check


_UNAVAILABLE_CLASSES = frozenset({"08", "53", "58"})
"""SQLSTATE classes (PostgreSQL, appendix A): connection errors, insufficient resources (a full disk, too many
connections), and errors of the operating system, such as I/O.
"""
_PAST_BOUND_STATES = frozenset({"55P03", "57014"})
"""A lock or a statement that timed out."""
_UNAVAILABLE_STATES = _PAST_BOUND_STATES | {"25006"}
"""25006 is a read-only transaction: a failover in progress."""
_RESOURCE_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO})


def is_database_unavailable(error: Exception) -> bool:
    """Whether the database, not the statement, is at fault: connection lost, shutting down, pool empty, disk full,
    read-only. True for a group if it is true for every exception in it.
    """
    if isinstance(error, ExceptionGroup):
        return all(is_database_unavailable(one) for one in error.exceptions)
    if isinstance(error, OSError | TimeoutError | sqlalchemy.exc.TimeoutError):
        return True
    # When no connection can be made, asyncpg's own errors are raised.
    if isinstance(error, asyncpg.PostgresError):
        return is_unavailable_state(error.sqlstate)
    if not isinstance(error, sqlalchemy.exc.DBAPIError):
        return isinstance(error, asyncpg.InterfaceError)
    if error.connection_invalidated:
        return True
    sqlstate = getattr(error.orig, "sqlstate", None)
    if sqlstate is None:
        # asyncpg raises client-side InterfaceErrors without a SQLSTATE when the connection is gone.
        return isinstance(error, sqlalchemy.exc.InterfaceError | sqlalchemy.exc.OperationalError)
    return is_unavailable_state(sqlstate)


def may_be_the_items_fault(error: Exception) -> bool:
    """Whether the current one of several items may be to blame, so that the others should go on without it.

    A statement that times out may be the item's fault as well as the database's.
    """
    if not is_database_unavailable(error):
        return True
    original = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) else error
    return getattr(original, "sqlstate", None) in _PAST_BOUND_STATES


def is_unavailable_state(sqlstate: str | None) -> bool:
    """Whether a SQLSTATE means that the same statement may succeed later without any change to it. 57P is operator
    intervention: shutting down, starting up.
    """
    if sqlstate is None:
        return False
    return sqlstate[:2] in _UNAVAILABLE_CLASSES or sqlstate[:3] == "57P" or sqlstate in _UNAVAILABLE_STATES


def is_out_of_resources(error: OSError) -> bool:
    """Whether this machine has run out of a resource: disk, memory, file descriptors."""
    return error.errno in _RESOURCE_ERRNOS
