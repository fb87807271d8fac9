"""One event loop a process for all tests, so that fixtures with async parts can outlive a test."""

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
