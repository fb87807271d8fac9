"""Connections to the database: bounded in time, and the message for one that fails."""

from urllib.parse import parse_qs, urlsplit

import sqlalchemy

CONNECT_TIMEOUT_S = 10


def is_address(url: str) -> bool:
    """Whether it is a valid address of a PostgreSQL database."""
    try:
        return sqlalchemy.make_url(url).drivername in {"postgresql", "postgres"} and urlsplit(url).port != 0
    except (sqlalchemy.exc.ArgumentError, ValueError):
        return False


def connect_timeout_s(url: str) -> int | None:
    """Libpq's own bound on connecting, for each address of the host; None leaves a `connect_timeout` of the URL
    alone.

    Without a bound, a server that accepts connections and never answers would be waited for without end.
    """
    return None if "connect_timeout" in parse_qs(urlsplit(url).query) else CONNECT_TIMEOUT_S


def in_one_line(error: BaseException) -> str:
    """The database's own message, without SQLAlchemy's; it holds the host, the port and the role, never a password."""
    return " ".join(str(getattr(error, "orig", None) or error).split())
