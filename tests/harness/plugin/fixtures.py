"""Fixtures for every test of the workspace, loaded as a pytest plugin (see pyproject.toml)."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import hypothesis
import pytest
import structlog

from broadsheet_common.process.tracing import add_trace
from broadsheet_local.embedded.redis import EmbeddedRedis
from broadsheet_postmark_sandbox.testing import RunningSandbox, running_sandbox_sync
from harness.cluster import Cluster, Database, running_cluster
from harness.containers import redis_container_url
from harness.delivering import Delivering, delivering
from harness.oracle import Oracle
from harness.plugin import event_loop
from harness.plugin.ids_of_tests import give_own_id, refuse_shared_ids
from harness.plugin.scheduling import StayTogether
from harness.seeding import Seed
from harness.system import System, running_system

# Hypothesis would fail a test for an example that takes long, which only shows that the machine is busy.
# CI says whether a change may land, so it tries the same examples each time; everywhere else each run tries new ones.
hypothesis.settings.register_profile("broadsheet", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis.settings.load_profile("broadsheet")


# Each HTTP client reads the trusted authorities, which takes 35 ms for the usual 140. The tests call only loopback.
os.environ["SSL_CERT_FILE"] = str(Path(__file__).with_name("authority.pem"))


def pytest_configure(config: pytest.Config) -> None:
    """anyio's plugin is loaded after this one and brings a fixture of the same name: ours must come later still."""
    config.pluginmanager.register(event_loop, "harness.plugin.event_loop")
    # As services log, one line of JSON for each event: structlog's own default takes seconds to draw one traceback.
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            add_trace,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    give_own_id(item)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    refuse_shared_ids(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> StayTogether | None:
    """With `-n`, unless another `--dist` is asked for."""
    return StayTogether(config, log) if config.option.dist == "load" else None


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as running:
        yield running


@pytest.fixture
def database(cluster: Cluster) -> Iterator[Database]:
    """A migrated database of the test's own, dropped after it."""
    with cluster.database() as made:
        yield made


@pytest.fixture(scope="session")
def _redis_urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The gateway's and the owner's address of a real Redis: TEST_REDIS_URL if set, else a container's, else the
    embedded server's. Only that one has users with rights of their own.
    """
    with ExitStack() as stack:
        given = os.environ.get("TEST_REDIS_URL")
        if given is not None:
            # Users have the same ids in each xdist worker, so each gets a database of its own.
            given = urlsplit(given)._replace(path=f"/{os.environ.get('PYTEST_XDIST_WORKER', 'gw0')[2:]}").geturl()
        url = given or redis_container_url(stack)
        if url is not None:
            yield url, url
            return
        redis = stack.enter_context(EmbeddedRedis(tmp_path_factory.mktemp("redis")))
        yield redis.url, redis.owner_url


@pytest.fixture(scope="session")
def redis_url(_redis_urls: tuple[str, str]) -> str:
    """What a gateway connects to, with the gateway's rights."""
    return _redis_urls[0]


@pytest.fixture(scope="session")
def redis_owner_url(_redis_urls: tuple[str, str]) -> str:
    """For a test that looks at keys."""
    return _redis_urls[1]


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    """An empty sandbox."""
    with running_sandbox_sync() as running:
        yield running


@pytest.fixture
def oracle(sandbox: RunningSandbox) -> Oracle:
    """What the sandbox accepted, and its faults."""
    return Oracle(sandbox)


@pytest.fixture
def seed(database: Database) -> Iterator[Seed]:
    """Inserts subscribers and issues directly into the database, for tests that are not about how they get there."""
    with Seed.connect(database) as connected:
        yield connected


@pytest.fixture
async def delivery(database: Database, sandbox: RunningSandbox) -> AsyncIterator[Delivering]:
    """One delivery replica, driven step by step."""
    async with delivering(database, sandbox.base_url, sandbox.token) as driven:
        yield driven


@pytest.fixture(scope="session")
async def shared_system(cluster: Cluster, redis_url: str) -> AsyncIterator[System]:
    with (
        cluster.database() as database,
        running_sandbox_sync() as sandbox,
        Seed.connect(database) as seed,
    ):
        async with running_system(database, redis_url, sandbox, seed) as running:
            yield running


@pytest.fixture
async def system(shared_system: System) -> AsyncIterator[System]:
    """All four services behind the gateway, with the local author's login and API key, and nobody subscribed."""
    async with shared_system.as_new() as fresh:
        yield fresh
