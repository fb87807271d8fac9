"""What the benchmark asks Postgres itself, as its superuser."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

CONNECT_TIMEOUT_S = 10
STATEMENT_TIMEOUT_MS = 300_000


@contextmanager
def connected(url: str) -> Iterator[psycopg.Connection]:
    """A connection on which each statement is a transaction; every wait has a bound."""
    with psycopg.connect(
        url,
        connect_timeout=CONNECT_TIMEOUT_S,
        autocommit=True,
        options=f"-c statement_timeout={STATEMENT_TIMEOUT_MS}",
    ) as connection:
        yield connection


def wal_position_bytes(url: str) -> int:
    """Bytes of write-ahead log since the cluster was made."""
    with connected(url) as connection:
        row = connection.execute("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint").fetchone()
    assert row is not None
    return int(row[0])


def fan_out_seconds(url: str, issue_id: int) -> float:
    """From the publish transaction to the fan-out's last page, by the database's clock."""
    with connected(url) as connection:
        row = connection.execute(
            "SELECT extract(epoch FROM fan_out_finished_at - opened_at)::float8 FROM delivery.issue_run"
            " WHERE issue_id = %s",
            (issue_id,),
        ).fetchone()
    assert row is not None
    return float(row[0])


@contextmanager
def pinned_horizon(url: str) -> Iterator[None]:
    """Hold a transaction open that has a snapshot and an id: rows that die meanwhile cannot be vacuumed."""
    with connected(url) as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT pg_current_xact_id()")
        yield
