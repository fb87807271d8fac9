"""The connection pool of a service: bounded in size and in every wait.

Works behind pgbouncer in transaction mode (1.21 or newer, which follows prepared statements): nothing here relies on
session state. The only session-bound use, LISTEN, opens a connection of its own (`delivery`'s wake-up).
"""

import errno
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit, urlunsplit

import asyncpg
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


_UNAVAILABLE_CLASSES = frozenset({"08", "53", "58"})
"""SQLSTATE classes (PostgreSQL, appendix A): connection, insufficient resources (a full disk, too many connections),
and errors of the system below, such as I/O."""
_PAST_BOUND_STATES = frozenset({"55P03", "57014"})
"""A lock or statement that waited past its bound."""
_UNAVAILABLE_STATES = _PAST_BOUND_STATES | {"25006"}
"""And read-only: a failover in progress."""
_RESOURCE_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO})


def is_database_unavailable(error: Exception) -> bool:
    """Whether the database, not the statement, is at fault: connection lost, shutting down, pool empty, disk full,
    read-only. A group is when all that it holds are.
    """
    if isinstance(error, ExceptionGroup):
        return all(is_database_unavailable(one) for one in error.exceptions)
    if isinstance(error, OSError | TimeoutError | sqlalchemy.exc.TimeoutError):
        return True
    # A connection that cannot be made raises asyncpg's own errors.
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
    """Whether, of several items, the one in hand may be to blame, so that others should have their turn without it.

    A statement that takes too long is one item's as likely as the database's.
    """
    if not is_database_unavailable(error):
        return True
    original = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) else error
    return getattr(original, "sqlstate", None) in _PAST_BOUND_STATES


def is_unavailable_state(sqlstate: str | None) -> bool:
    """Whether a SQLSTATE says that the same statement may succeed later, without anybody changing it. 57P is an
    operator's intervention: shutting down, starting up.
    """
    if sqlstate is None:
        return False
    return sqlstate[:2] in _UNAVAILABLE_CLASSES or sqlstate[:3] == "57P" or sqlstate in _UNAVAILABLE_STATES


def is_out_of_resources(error: OSError) -> bool:
    """Whether this machine lacks something just now: disk, memory, file descriptors."""
    return error.errno in _RESOURCE_ERRNOS
