"""One event loop a process for all tests, so that fixtures with async parts can outlive a test. It is uvloop's, as in
production: the standard library's takes what uvloop does not.
"""

from typing import Any

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}
