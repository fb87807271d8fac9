"""Connections to the database: bounded in time, and what is said of one that cannot be made."""

from urllib.parse import parse_qs, urlsplit

import sqlalchemy

CONNECT_TIMEOUT_S = 10


def is_address(url: str) -> bool:
    """Whether it is a database's address at all."""
    try:
        return sqlalchemy.make_url(url).drivername in {"postgresql", "postgres"} and urlsplit(url).port != 0
    except (sqlalchemy.exc.ArgumentError, ValueError):
        return False


def connect_timeout_s(url: str) -> int | None:
    """Libpq's own bound on connecting, for each address of the host; None leaves a `connect_timeout` of the URL alone.

    Without one, a server that takes connections and says nothing is waited for without end.
    """
    return None if "connect_timeout" in parse_qs(urlsplit(url).query) else CONNECT_TIMEOUT_S


def in_one_line(error: BaseException) -> str:
    """The database's own words, without SQLAlchemy's; they hold the host, the port and the role, never a password."""
    return " ".join(str(getattr(error, "orig", None) or error).split())
