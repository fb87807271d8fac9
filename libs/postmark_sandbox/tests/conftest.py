"""A sandbox that each test finds as if just started, and a client that speaks to it as Postmark asks."""

from collections.abc import Iterator

import pytest

from broadsheet_postmark_sandbox.testing import RunningSandbox, SandboxDriver, running_sandbox_sync


@pytest.fixture(scope="session")
def running() -> Iterator[RunningSandbox]:
    with running_sandbox_sync() as started:
        yield started


@pytest.fixture(scope="session")
def driver(running: RunningSandbox) -> Iterator[SandboxDriver]:
    with SandboxDriver(running) as made:
        yield made


@pytest.fixture
def sandbox(driver: SandboxDriver) -> SandboxDriver:
    driver.reset()
    return driver
