"""An audit log of each test's own: a chain cannot be emptied, and a running gateway would go on with it."""

from collections.abc import AsyncIterator, Callable, Iterator

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.process.database import create_engine
from broadsheet_common.process.settings import PostgresUrl
from harness.cluster import Cluster, Database

Forge = Callable[..., None]


@pytest.fixture(scope="module")
def _log_database(cluster: Cluster) -> Iterator[Database]:
    with cluster.database() as made:
        yield made


@pytest.fixture
def log_database(_log_database: Database) -> Database:
    """Without an entry."""
    as_owner(
        _log_database,
        "TRUNCATE audit.entry, audit.waiting, audit.stream RESTART IDENTITY",
        "DELETE FROM audit.head",
        "INSERT INTO audit.head DEFAULT VALUES",
    )
    return _log_database


@pytest.fixture
async def log_engine(log_database: Database) -> AsyncIterator[AsyncEngine]:
    """With the gateway's rights."""
    url = PostgresUrl.parse(log_database.url_for("gateway"))
    made = create_engine(url, application_name="gateway-test", pool_size=4, timeout_s=10.0)
    yield made
    await made.dispose()


def as_owner(database: Database, *statements: str) -> None:
    """What somebody with all rights over the database does, and no service can."""
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # no triggers
        for statement in statements:
            connection.execute(statement.encode())


@pytest.fixture
def forge(log_database: Database) -> Forge:
    return lambda *statements: as_owner(log_database, *statements)
