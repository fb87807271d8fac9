"""The whole set-up as real processes on real sockets, and a browser; both once for all browser tests."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from playwright.async_api import Browser

from broadsheet_local.system import LocalSystem, Options
from harness.browser import running_browser
from harness.oracle import Oracle
from harness.seeding import Seed


@pytest.fixture(scope="session")
async def processes() -> AsyncIterator[LocalSystem]:
    # Not below pytest's own folder, which is closed to the user that Postgres runs as.
    with tempfile.TemporaryDirectory(prefix="broadsheet-test-browser-") as folder:
        async with LocalSystem(Options(data_dir=Path(folder)), print) as system:
            yield system


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with running_browser() as running:
        yield running


@pytest.fixture
def inbox(processes: LocalSystem) -> Oracle:
    """What the sandbox accepted; empty at first."""
    assert processes.addresses.sandbox_url is not None
    oracle = Oracle(processes.addresses.sandbox_url)
    oracle.reset()
    return oracle


@pytest.fixture
def stored(processes: LocalSystem) -> Iterator[Seed]:
    """The database, as empty as at the first start, also after a test that changed the password."""
    with psycopg.connect(processes.database_url, autocommit=True) as connection:
        seed = Seed(connection)
        [(password_hash,)] = seed.execute("SELECT password_hash FROM gateway.user_account")
        seed.empty()
        yield seed
        seed.execute(
            "UPDATE gateway.user_account SET password_hash = %s, password_changed_at = clock_timestamp()",
            (password_hash,),
        )
