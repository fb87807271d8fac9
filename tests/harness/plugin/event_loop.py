"""One event loop a process for all tests, so that fixtures with async parts can outlive a test: uvloop, as the services
run on. It differs from asyncio's own loop in when it writes, in how it counts what is unsent, and in its timers.
"""

from typing import Any

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}
